//! Addresses of another environment.

use super::case::{Case, Message};
use crate::app::application::Foreign;
use crate::app::names::Text;
use crate::app::service::Probe;

pub(super) fn other_environment(case: &Case<'_>) -> Vec<Message> {
    let service = case.service;
    let commands = service.exec_start_pre.iter().chain([&service.exec]);
    let words = commands
        .flatten()
        .map(|word| ("a command".to_owned(), word.to_string()));
    let env = service
        .env
        .iter()
        .map(|(name, value)| (format!("`{name}`"), value.to_string()));
    let checks = service
        .checks
        .iter()
        .filter_map(|check| match &check.probe {
            Probe::Http { address, .. } => address.map(|address| address.to_string()),
            Probe::Tcp(address) => Some(address.to_string()),
            Probe::Unix(path) => Some(path.to_string()),
            Probe::Command(words) => {
                let words: Vec<&str> = words.iter().map(Text::as_str).collect();
                Some(words.join(" "))
            }
            Probe::Job | Probe::Settle(_) => None,
        });
    let checks = checks.map(|text| ("a check".to_owned(), text));
    let mut out = Vec::new();
    for (place, value) in env.chain(words).chain(checks) {
        for Foreign { environment, text } in &case.app.foreign {
            if !has_whole(&value, text) {
                continue;
            }
            let owner = match environment {
                Some(name) => format!("the environment `{name}`"),
                None => "the app without an environment".to_owned(),
            };
            out.push((
                format!("has `{text}` in {place}, which belongs to {owner}"),
                "write `{listen.NAME}` for an address of the app, or set the value in this environment",
            ));
        }
    }
    out
}

/// Whether a value has a text that is not the part of a longer name, number or path.
fn has_whole(value: &str, text: &str) -> bool {
    let continues = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    value.match_indices(text).any(|(at, _)| {
        let before = value
            .get(..at)
            .and_then(|before| before.chars().next_back());
        let after = value
            .get(at + text.len()..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(continues) && !after.is_some_and(continues)
    })
}

#[cfg(test)]
mod tests {
    use crate::app::{App, lint};
    use crate::manifest::parse;

    /// What the lint says of a manifest in an environment.
    fn found(rest: &str, environment: Option<&str>) -> Vec<String> {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n\
             [service.web]\nexec = [\"/bin/web\"]\nlisten = [\"127.0.0.1:8080\"]\n\
             env = {{ API = \"https://api.example.com/v1\", PAY = \"https://pay.example.net\" }}\n\
             [service.job]\nexec = [\"/bin/job\"]\n{rest}\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), environment).unwrap();
        let findings = lint(&app, None).into_iter();
        let findings = findings.filter(|finding| finding.lint == "other-environment");
        findings.map(|finding| finding.message).collect()
    }

    const STAGING: &str = "[environment.staging]\nlisten.web = [\"127.0.0.1:9080\"]\n\
                           service.web.env.API = \"https://api.staging.example.com\"\n";

    #[test]
    fn an_address_of_another_environment_is_found() {
        let base = "the app without an environment";
        let of = |rest: &str| found(&format!("{rest}\n{STAGING}"), Some("staging"));
        for (rest, text, place) in [
            (
                "env.WEB = \"http://127.0.0.1:8080\"",
                "127.0.0.1:8080",
                "`WEB`",
            ),
            ("env.WEB = \"localhost:8080\"", "localhost:8080", "`WEB`"),
            (
                "env.BACK = '{\"a\":\"https://u:p@api.example.com:443\"}'",
                "api.example.com",
                "`BACK`",
            ),
            (
                "check = [{ tcp = \"127.0.0.1:8080\" }]",
                "127.0.0.1:8080",
                "a check",
            ),
            (
                "check = [{ http = \"http://127.0.0.1:8080/\" }]",
                "127.0.0.1:8080",
                "a check",
            ),
            (
                "exec-start-pre = [[\"/bin/a\", \"--to=127.0.0.1:8080\"]]",
                "127.0.0.1:8080",
                "a command",
            ),
        ] {
            let message = format!("service `job` has `{text}` in {place}, which belongs to {base}");
            assert_eq!(of(rest), [message], "{rest}");
        }
        // Production must not have an address of staging either.
        let rest = format!("env.WEB = \"http://127.0.0.1:9080\"\n{STAGING}");
        assert_eq!(
            found(&rest, None),
            [
                "service `job` has `127.0.0.1:9080` in `WEB`, which belongs to the environment `staging`"
            ]
        );
    }

    #[test]
    fn what_environments_share_is_not_found() {
        for rest in [
            "env.WEB = \"http://{listen.web}\"",
            "env.WEB = \"http://127.0.0.1:80801\"",
            "env.WEB = \"http://127.0.0.1:9080\"",
            "env.OTHER = \"https://api.example.com.evil.example\"",
            // Both environments use it.
            "env.PAID = \"https://pay.example.net\"",
        ] {
            let rest = format!("{rest}\n{STAGING}");
            assert_eq!(found(&rest, Some("staging")), [""; 0], "{rest}");
        }
        assert_eq!(found("env.WEB = \"http://127.0.0.1:8080\"", None), [""; 0]);
    }
}
