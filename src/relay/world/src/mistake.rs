//! Mistakes made on purpose, so that the simulation can show that it would find them. Only a build with the feature
//! `mistakes` can make any; the components are built without it.

/// A mistake that somebody could make. Most are made at a seam, by the host of the simulation; those that no seam shows
/// are asked for where they would be made ([`made`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Keys are deleted before their outcome is kept.
    DeleteBeforePersisting,
    /// Keys that were never listed are deleted with those that were.
    DeleteUnlisted,
    /// A delivery is acknowledged although its write failed.
    AcknowledgeBeforeWrite,
    /// The lease is not read back.
    NoReadBack,
    /// What is in flight is not written down.
    NoInFlightKey,
    /// The index is written before the push.
    IndexBeforePush,
    /// An event of our own is given a key that was there before.
    ReuseKey,
    /// A model's hash is kept before its variants are marked.
    HashBeforeVariants,
    /// Attempts are counted while a breaker is open.
    CountWhileOpen,
    /// The wait that an upstream asks for is not kept.
    IgnoreRetryAfter,
    /// A page of the index is written under one key by all workers.
    SharedPages,
    /// How far the marking of models' variants came is forgotten.
    ForgetMarking,
    /// An entity that served as a probe of an upstream that is down keeps its place before all others.
    ProbeTheSame,
    /// A lease is taken for over by the moment that is written in it.
    LeaseByItsMoment,
    /// A worker whose lease passed while it pushed tells nobody what it pushed.
    ForgetLatePushes,
    /// Batches that come to no end stay as large as they are.
    NeverHalve,
    /// A look takes its watermark from this host's clock, not from the PIM's.
    OwnClockAsWatermark,
    /// A look takes its watermark from its last answer, not from its first.
    WatermarkAtTheEnd,
    /// A page that does not come through is asked for in the same size again.
    NeverNarrow,
    /// Whatever a read by id is answered is taken for the entity that was asked for.
    TakeAnyItem,
    /// Any 404 to a read by id says that the entity is gone, whoever answers it.
    BelieveAnyAbsence,
    /// A look-up at the destination that finds nothing is believed although a creation may still arrive.
    BelieveNothingFound,
    /// Whether an entity is there already is not asked before it is made.
    SkipFind,
    /// What the destination gave is not kept.
    ForgetIds,
    /// A 200 with errors inside counts as done.
    BelieveErrors,
    /// The destination is shown the token of the PIM.
    SendTokenOfPim,
    /// An identity that an entity has left is deleted although another entity is called so by then.
    DeleteAnothersName,
    /// An identity that an entity has left stays its own.
    NeverLetGo,
    /// A page of the index that splits loses a part.
    LosePart,
    /// A page of the index is deleted before that which takes its place is written.
    DeleteWholeFirst,
}

impl Mistake {
    /// The mistakes that a world of chance shows. The others have worlds of their own.
    pub const ALL: [Mistake; 22] = [
        Mistake::DeleteBeforePersisting,
        Mistake::DeleteUnlisted,
        Mistake::AcknowledgeBeforeWrite,
        Mistake::NoReadBack,
        Mistake::NoInFlightKey,
        Mistake::IndexBeforePush,
        Mistake::HashBeforeVariants,
        Mistake::CountWhileOpen,
        Mistake::IgnoreRetryAfter,
        Mistake::LeaseByItsMoment,
        Mistake::SharedPages,
        Mistake::TakeAnyItem,
        Mistake::BelieveAnyAbsence,
        Mistake::BelieveNothingFound,
        Mistake::SkipFind,
        Mistake::ForgetIds,
        Mistake::BelieveErrors,
        Mistake::SendTokenOfPim,
        Mistake::DeleteAnothersName,
        Mistake::NeverLetGo,
        Mistake::LosePart,
        Mistake::DeleteWholeFirst,
    ];
}

#[cfg(feature = "mistakes")]
thread_local! {
    static MADE: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread make a mistake, or none, from now on.
#[cfg(feature = "mistakes")]
pub fn make(mistake: Option<Mistake>) {
    MADE.set(mistake);
}

/// Whether this mistake is to be made.
#[cfg(feature = "mistakes")]
pub fn made(mistake: Mistake) -> bool {
    MADE.get() == Some(mistake)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "mistakes"))]
pub const fn made(_: Mistake) -> bool {
    false
}
