//! What a component may connect to: `allowed_outbound_hosts`, read as strictly as Spin reads it.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use url::{Host, Url};

use crate::variables::Variables;

/// The parsed entries of one component.
#[derive(Debug, Default)]
pub struct AllowedHosts {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` allows any scheme.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Debug)]
enum HostPattern {
    Any,
    /// The suffix, with its leading dot.
    Subdomain(String),
    Exact(Host),
    Network(IpNet),
    /// The application itself, which this runtime does not offer as a destination.
    Application,
}

#[derive(Debug)]
enum PortPattern {
    Any,
    One(u16),
    Range(Range<u16>),
}

impl AllowedHosts {
    /// Fills and reads all entries.
    ///
    /// # Errors
    /// When one entry is not `scheme://host[:port]`, or any variable cannot be read. Spin then refuses every connection of the component, so the
    /// caller has to keep the error and do the same.
    pub fn parse(entries: &[String], variables: &Variables) -> Result<Self> {
        variables.all_readable()?;
        let filled = entries.iter().map(|entry| Entry::fill(entry, variables));
        let entries = filled.filter_map(Result::transpose).collect::<Result<_>>()?;
        Ok(Self { entries })
    }

    /// The check Spin makes before it starts: entries without a template, and those that the manifest's defaults fill.
    ///
    /// # Errors
    /// When one of these cannot be read.
    pub fn validate(entries: &[String], defaults: &Variables) -> Result<()> {
        for entry in entries {
            match defaults.render(entry) {
                Ok(_) => drop(Entry::fill(entry, defaults)?),
                Err(error) => ensure!(entry.contains("}}"), error),
            }
        }
        Ok(())
    }

    /// Whether a request to this absolute URL may be sent.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        self.entries.iter().any(|entry| entry.allows(url))
    }
}

impl Entry {
    /// Fills and reads one entry. One that a variable leaves empty allows nothing and denies nothing, as in Spin from 4.1
    /// on; before that it denies every connection of the component.
    fn fill(entry: &str, variables: &Variables) -> Result<Option<Self>> {
        let filled = variables.render(entry)?;
        let is_left_empty = filled != entry && matches!(filled.as_str(), "" | "http://" | "https://");
        if is_left_empty {
            Ok(None)
        } else {
            Self::parse(&filled).map(Some)
        }
    }

    fn parse(entry: &str) -> Result<Self> {
        let entry = entry.trim();
        let (scheme, rest) = entry.split_once("://").with_context(|| {
            format!("{entry:?} is no allowed outbound host: the form is scheme://host[:port], `*` for any")
        })?;
        let (host, rest) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(path.is_empty(), "{entry:?} has a path but is not allowed to");
        Ok(Self {
            port: PortPattern::parse(port, scheme).with_context(|| format!("the port of {entry:?}"))?,
            scheme: parse_scheme(scheme).with_context(|| format!("the scheme of {entry:?}"))?,
            host: HostPattern::parse(host).with_context(|| format!("the host of {entry:?}"))?,
        })
    }

    fn allows(&self, url: &Url) -> bool {
        let scheme = url.scheme();
        self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
            && url.host().is_some_and(|host| self.host.allows(&host.to_owned()))
            && self.port.allows(url.port().or_else(|| well_known_port(scheme)))
    }
}

fn parse_scheme(scheme: &str) -> Result<Option<String>> {
    if scheme == "*" {
        return Ok(None);
    }
    ensure!(scheme.chars().all(char::is_alphabetic), "only letters are allowed");
    Ok(Some(scheme.to_owned()))
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self> {
        let host = host.trim();
        if host == "*" {
            return Ok(Self::Any);
        }
        if host == "self" || host == "self.alt" {
            return Ok(Self::Application);
        }
        ensure!(!host.starts_with('{'), "lists are not supported");
        if let Ok(network) = host.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        let host = host.trim_end_matches('/');
        ensure!(!host.contains('/'), "it must not include a path");
        match host.strip_prefix("*.") {
            Some(domain) if !domain.contains('*') => Ok(Self::Subdomain(format!(".{domain}"))),
            _ if host.contains('*') => bail!("a wildcard is allowed only as the first label"),
            _ => Ok(Self::Exact(Host::parse(host)?)),
        }
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Exact(exact), host) => exact == host,
            (Self::Network(network), Host::Ipv4(ip)) => network.contains(&std::net::IpAddr::V4(*ip)),
            (Self::Network(network), Host::Ipv6(ip)) => network.contains(&std::net::IpAddr::V6(*ip)),
            (Self::Subdomain(_) | Self::Network(_) | Self::Application, _) => false,
        }
    }
}

impl PortPattern {
    fn parse(port: &str, scheme: &str) -> Result<Self> {
        let number = |text: &str| text.parse().with_context(|| format!("{text:?} is not a port number"));
        match port {
            "" => well_known_port(scheme)
                .map(Self::One)
                .context("it is needed: the scheme has no default port"),
            "*" => Ok(Self::Any),
            _ => match port.split_once("..") {
                Some((start, end)) => Ok(Self::Range(number(start)?..number(end)?)),
                None => Ok(Self::One(number(port)?)),
            },
        }
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::One(allowed), Some(port)) => *allowed == port,
            (Self::Range(allowed), Some(port)) => allowed.contains(&port),
            (Self::One(_) | Self::Range(_), None) => false,
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "mqtt" => Some(1883),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Variable;

    fn parse(entry: &str) -> Result<AllowedHosts> {
        AllowedHosts::parse(&[entry.to_owned()], &Variables::default())
    }

    fn allows(entry: &str, url: &str) -> bool {
        parse(entry).expect(entry).allows(&Url::parse(url).expect(url))
    }

    #[test]
    fn scheme_host_and_port_must_all_match() {
        assert!(allows("https://pim.example", "https://pim.example/api?x=1"));
        assert!(allows("https://pim.example", "https://PIM.example:443/"));
        assert!(allows("https://pim.example/", "https://pim.example"));
        assert!(!allows("https://pim.example", "http://pim.example"));
        assert!(!allows("https://pim.example", "https://pim.example:8443"));
        assert!(!allows("https://pim.example", "https://pim.example.evil"));
        assert!(allows("http://127.0.0.1:3000", "http://127.0.0.1:3000/x"));
        assert!(allows("http://127.0.0.1:3000..3002", "http://127.0.0.1:3001"));
        assert!(!allows("http://127.0.0.1:3000..3002", "http://127.0.0.1:3002"));
    }

    #[test]
    fn wildcards_and_networks() {
        assert!(allows("*://*:*", "http://anything:1234"));
        assert!(allows("https://*.example", "https://a.b.example"));
        assert!(!allows("https://*.example", "https://example"));
        assert!(allows("http://10.0.0.0/8:80", "http://10.1.2.3"));
        assert!(!allows("http://10.0.0.0/8:80", "http://11.1.2.3"));
        assert!(!allows("http://self", "http://self"));
    }

    #[test]
    fn an_entry_that_spin_refuses_is_an_error() {
        for entry in [
            "",
            "*",
            "example.com",
            "https://",
            "https://a.example/api",
            "https://a.example:443/api",
            "tcp://a.example",
            "https://a*.example",
            "https://*.*.example",
            "https://a.example:x",
            "ht-tp://a.example:1",
        ] {
            assert!(parse(entry).is_err(), "{entry:?} was accepted");
        }
    }

    fn variable(value: &str) -> Variable {
        Variable {
            default: Some(value.to_owned()),
            required: false,
            secret: false,
            description: None,
        }
    }

    #[test]
    fn an_entry_that_a_variable_leaves_empty_allows_nothing_and_denies_nothing() {
        let filled = |value: &str| {
            let declared = [("url".to_owned(), variable(value))].into();
            let variables = Variables::resolve(&declared, &[], |_| Err(std::env::VarError::NotPresent));
            let entries = ["{{ url }}".to_owned(), "https://pim.example".to_owned()];
            AllowedHosts::parse(&entries, &variables.expect("good variables"))
        };
        for empty in ["", "http://", "https://"] {
            let hosts = filled(empty).expect(empty);
            assert!(hosts.allows(&Url::parse("https://pim.example").expect("an address")));
            assert!(!hosts.allows(&Url::parse("https://other.example").expect("an address")));
        }
        for blank in [" ", " \n"] {
            filled(blank).expect_err("Spin refuses it");
        }
    }

    #[test]
    fn before_the_start_only_what_the_defaults_fill_is_checked() {
        let entries = |entry: &str| vec![entry.to_owned()];
        let unset = Variables::default();
        AllowedHosts::validate(&entries("{{ url }}"), &unset).expect("not known yet");
        AllowedHosts::validate(&entries("https://a/path"), &unset).expect_err("a path");
        AllowedHosts::validate(&entries("{{ url"), &unset).expect_err("an open brace");
    }
}
