//! The `redis` backend. Labels are not told apart, so a listing is of the whole database; reading several keys at
//! once fails, and a swap reports failure: all as in Spin, which sends these very commands.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Client};
use tokio::sync::OnceCell;

use super::{Cas, Store, StoreResult, SwapError, check_size, describe, size_of_entries, size_of_keys, size_of_value};

/// A Redis database, connected when it is first used.
pub struct Redis {
    client: Client,
    connection: OnceCell<ConnectionManager>,
}

impl Redis {
    /// Takes an address such as `redis://127.0.0.1:6379/0`.
    ///
    /// # Errors
    /// When it is no address of Redis.
    pub fn new(url: &str) -> Result<Self> {
        let client = Client::open(url).context("not an address of Redis, such as redis://127.0.0.1:6379")?;
        Ok(Self {
            client,
            connection: OnceCell::new(),
        })
    }

    /// Opens the one store that a database is.
    ///
    /// # Errors
    /// When the first connection fails. Later ones are made again in the background.
    pub async fn open(&self) -> StoreResult<Arc<dyn Store>> {
        let connect = || self.client.get_connection_manager();
        let connection = self.connection.get_or_try_init(connect).await.map_err(describe)?;
        // Whatever it says: a lost connection is noticed here, so that it is being made again when it is needed.
        connection.clone().ping::<()>().await.ok();
        Ok(Arc::new(RedisStore {
            client: self.client.clone(),
            connection: connection.clone(),
        }))
    }
}

struct RedisStore {
    client: Client,
    connection: ConnectionManager,
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let value: Option<Vec<u8>> = self.connection.clone().get(key).await.map_err(describe)?;
        check_size(size_of_value(value.as_ref()))?;
        Ok(value)
    }

    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()> {
        self.connection.clone().set(key, value).await.map_err(describe)
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.connection.clone().del(key).await.map_err(describe)
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        self.connection.clone().exists(key).await.map_err(describe)
    }

    async fn list(&self) -> StoreResult<Vec<String>> {
        let keys: Vec<String> = self.connection.clone().keys("*").await.map_err(describe)?;
        check_size(size_of_keys(&keys))?;
        Ok(keys)
    }

    /// Sends KEYS with all the keys as arguments, where MGET was meant.
    async fn get_many(&self, keys: Vec<String>) -> StoreResult<Vec<(String, Option<Vec<u8>>)>> {
        let entries: Vec<_> = self.connection.clone().keys(keys).await.map_err(describe)?;
        check_size(size_of_entries(&entries))?;
        Ok(entries)
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> StoreResult<()> {
        self.connection.clone().mset(&entries).await.map_err(describe)
    }

    async fn delete_many(&self, keys: Vec<String>) -> StoreResult<()> {
        self.connection.clone().del(keys).await.map_err(describe)
    }

    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        self.connection.clone().incr(key, delta).await.map_err(describe)
    }

    /// Every one has a connection of its own, because WATCH belongs to a connection.
    async fn compare(&self, key: &str) -> StoreResult<Arc<dyn Cas>> {
        let connection = self.client.get_connection_manager().await.map_err(describe)?;
        Ok(Arc::new(RedisCas {
            key: key.to_owned(),
            connection,
        }))
    }
}

struct RedisCas {
    key: String,
    connection: ConnectionManager,
}

#[async_trait]
impl Cas for RedisCas {
    async fn current(&self) -> StoreResult<Option<Vec<u8>>> {
        let mut connection = self.connection.clone();
        redis::cmd("WATCH")
            .arg(&self.key)
            .exec_async(&mut connection)
            .await
            .map_err(describe)?;
        let value: Option<Vec<u8>> = connection.get(&self.key).await.map_err(describe)?;
        check_size(size_of_value(value.as_ref()))?;
        Ok(value)
    }

    /// UNWATCH is sent with an argument, which Redis refuses: the swap is done and reported as failed.
    async fn swap(&self, value: Vec<u8>) -> Result<(), SwapError> {
        let mut connection = self.connection.clone();
        let done = redis::pipe()
            .atomic()
            .set(&self.key, value)
            .query_async::<()>(&mut connection)
            .await;
        let unwatched = redis::cmd("UNWATCH").arg(&self.key).exec_async(&mut connection).await;
        unwatched.and(done).map_err(|_| SwapError::Changed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    /// A server that answers just what these tests send, and passes on every command but the client's greetings.
    async fn server() -> (Arc<dyn Store>, UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let (sender, commands) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone()));
            }
        });
        let store = Redis::new(&url)
            .expect("an address")
            .open()
            .await
            .expect("a connection");
        (store, commands)
    }

    async fn serve(stream: TcpStream, commands: UnboundedSender<String>) {
        let mut stream = BufReader::new(stream);
        let mut queued = 0;
        while let Some(command) = read_command(&mut stream).await {
            let words: Vec<&str> = command.split(' ').collect();
            let answer = match words.as_slice() {
                ["CLIENT" | "PING", ..] => "+OK\r\n".to_owned(),
                ["MULTI"] => "+OK\r\n".to_owned(),
                ["SET", ..] if queued == 1 => "+QUEUED\r\n".to_owned(),
                ["EXEC"] => "*1\r\n+OK\r\n".to_owned(),
                ["GET", "missing"] => "$-1\r\n".to_owned(),
                ["GET", ..] => "$1\r\n7\r\n".to_owned(),
                ["KEYS", "*"] => "*2\r\n$1\r\na\r\n$1\r\nb\r\n".to_owned(),
                ["KEYS" | "UNWATCH", _, ..] if words[0] == "UNWATCH" || words.len() > 2 => {
                    format!(
                        "-ERR wrong number of arguments for '{}' command\r\n",
                        words[0].to_lowercase()
                    )
                }
                ["DEL" | "EXISTS", ..] => ":1\r\n".to_owned(),
                ["INCRBY", _, delta] => format!(":{delta}\r\n"),
                _ => "+OK\r\n".to_owned(),
            };
            queued = i32::from(words[0] == "MULTI");
            if !matches!(words[0], "CLIENT" | "PING") {
                commands.send(command).ok();
            }
            stream.write_all(answer.as_bytes()).await.expect("the client listens");
        }
    }

    async fn read_command(stream: &mut BufReader<TcpStream>) -> Option<String> {
        let count = read_number(stream).await?;
        let mut words = Vec::new();
        for _ in 0..count {
            let mut word = vec![0; read_number(stream).await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
        }
        Some(words.join(" "))
    }

    async fn read_number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        line.get(1..)?.trim().parse().ok()
    }

    #[tokio::test]
    async fn the_commands_are_those_of_spin() {
        let (store, mut commands) = server().await;
        assert_eq!(store.get("k").await, Ok(Some(b"7".to_vec())));
        assert_eq!(store.get("missing").await, Ok(None));
        store.set("k", b"v").await.expect("set");
        store.delete("k").await.expect("delete");
        assert_eq!(store.exists("k").await, Ok(true));
        assert_eq!(store.list().await, Ok(vec!["a".to_owned(), "b".to_owned()]));
        store
            .set_many(vec![("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())])
            .await
            .expect("set");
        store.delete_many(vec!["a".into(), "b".into()]).await.expect("delete");
        assert_eq!(store.increment("n", 5).await, Ok(5));
        for expected in [
            "GET k",
            "GET missing",
            "SET k v",
            "DEL k",
            "EXISTS k",
            "KEYS *",
            "MSET a 1 b 2",
            "DEL a b",
            "INCRBY n 5",
        ] {
            assert_eq!(commands.recv().await.as_deref(), Some(expected));
        }
    }

    #[tokio::test]
    async fn reading_several_keys_fails() {
        let (store, _commands) = server().await;
        let error = store
            .get_many(vec!["a".into(), "b".into()])
            .await
            .expect_err("KEYS takes one argument");
        assert!(error.contains("wrong number of arguments for 'keys'"), "{error}");
    }

    #[tokio::test]
    async fn a_swap_is_done_and_reported_as_failed() {
        let (store, mut commands) = server().await;
        let cas = store.compare("k").await.expect("a connection of its own");
        assert_eq!(cas.current().await, Ok(Some(b"7".to_vec())));
        assert_eq!(cas.swap(b"v".to_vec()).await, Err(SwapError::Changed));
        for expected in ["WATCH k", "GET k", "MULTI", "SET k v", "EXEC", "UNWATCH k"] {
            assert_eq!(commands.recv().await.as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_address_of_something_else_is_refused() {
        assert!(Redis::new("http://127.0.0.1").is_err());
    }
}
