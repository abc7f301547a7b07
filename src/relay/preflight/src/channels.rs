//! Whether the PIM's edition has the channels whose secrets are set (contract 1; its part on kinds, 3.6, 4.1).
//!
//! Whether a connection is subscribed, and to which address, no PIM tells.

use crate::finding::Findings;
use crate::variables::Taken;

/// When the Events API ends in Akeneo's cloud, in seconds since the Unix epoch: with the year 2026.
const EVENTS_API_ENDS_S: u64 = 1_798_761_600;

/// Tells of a channel that an edition does not have, or will not have for long; nothing of an edition that is not known.
pub fn judge(edition: &str, taken: Taken, now_s: u64, findings: &mut Findings) {
    let is_in_the_cloud = edition.starts_with("Serenity") || edition == "GE";
    if matches!(edition, "CE" | "EE") && taken.event_platform {
        findings.warning(
            "event_platform_secret",
            format!("the PIM's edition is {edition}, and only those in Akeneo's cloud (Serenity, Growth) have the Event Platform: nothing comes by it"),
            "connect the PIM by the Events API (events_api_secret), or leave changes to be found by polling",
        );
    }
    if !is_in_the_cloud || !taken.events_api || taken.event_platform {
        return;
    }
    let remedy = "go over to the Event Platform, as docs/events-api.md tells";
    match now_s < EVENTS_API_ENDS_S {
        true => findings.warning(
            "events_api_secret",
            format!("the PIM's edition is {edition}, on which the Events API ends with the year 2026"),
            remedy,
        ),
        false => findings.error(
            "events_api_secret",
            format!("the PIM's edition is {edition}, on which the Events API has ended: nothing comes by it"),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_the_edition_does_not_have_is_told() {
        let taken = |event_platform, events_api| Taken {
            event_platform,
            events_api,
            ..Taken::default()
        };
        let (before_s, after_s) = (EVENTS_API_ENDS_S - 1, EVENTS_API_ENDS_S);
        for (edition, taken, now_s, expected) in [
            ("Serenity", taken(true, true), after_s, ""),
            ("Serenity", taken(false, true), before_s, "warning events_api_secret"),
            ("GE", taken(false, true), after_s, "error events_api_secret"),
            ("Serenity CE", taken(false, true), after_s, "error events_api_secret"),
            ("Serenity", taken(true, false), after_s, ""),
            ("CE", taken(false, true), after_s, ""),
            ("CE", taken(true, true), before_s, "warning event_platform_secret"),
            ("EE", taken(true, false), before_s, "warning event_platform_secret"),
            ("", taken(true, true), before_s, ""),
            ("of tomorrow", taken(true, true), after_s, ""),
        ] {
            let mut findings = Findings::default();
            judge(edition, taken, now_s, &mut findings);
            let told: Vec<String> = findings
                .all()
                .iter()
                .map(|finding| format!("{} {}", finding.level.name(), finding.about))
                .collect();
            assert_eq!(told.join(", "), expected, "{edition} {taken:?} {now_s}");
        }
    }
}
