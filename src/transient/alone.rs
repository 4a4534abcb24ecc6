//! A pre-check instance that is alone in its network, and what to do if it needs another program.

use crate::app::{App, Service};
use crate::error::Hint;
use crate::sandbox::explain::{AtPath, Case, finds_no_peer, how_to_allow};
use crate::units::Target;

/// What to do about a pre-check that failed. `lines` are those that the program of the instance wrote. A service that
/// opens its address itself is pre-checked in a network of its own, in which nothing else answers.
pub(super) fn after_failed_pre_check(
    (app, target): (&App, Target),
    service: Option<&Service>,
    lines: &[String],
) -> Vec<Hint> {
    let again = Hint::from("fix it and deploy again");
    let is_alone = |service: &&Service| !service.has_socket_unit();
    match service.filter(is_alone) {
        Some(service) if lines.iter().any(|line| finds_no_peer(line)) => {
            let case = Case {
                app,
                service,
                target,
                look: &|_| AtPath::Missing,
            };
            [again].into_iter().chain(alone(&case)).collect()
        }
        _ => vec![again],
    }
}

fn alone(case: &Case<'_>) -> Vec<Hint> {
    let name = &case.service.name;
    let sandbox = &case.service.sandbox;
    let mut hints = Vec::new();
    if let Some(how) = how_to_allow(case, "loopback") {
        hints.push(format!(
            "if it needs a program of this host, {how}; its pre-check is off then"
        ));
    }
    let reaches_hosts = sandbox.allows("outbound") || !sandbox.outbound.is_empty();
    let pre_check = format!("write `pre-check = false` in `[service.{name}]`");
    hints.push(if reaches_hosts {
        format!("if it needs another host when it starts, {pre_check}")
    } else {
        format!(
            "if it needs another host when it starts, list its address in `sandbox.outbound`, and {pre_check}"
        )
    });
    let why = format!(
        "the pre-check instance of `{name}` has a network of its own, in which no other program and no other host answers"
    );
    [why].into_iter().chain(hints).map(Hint::from).collect()
}

#[cfg(test)]
mod tests {
    use super::after_failed_pre_check;
    use crate::app::App;
    use crate::manifest::parse;
    use crate::units::Target;

    fn hints(keys: &str, line: &str) -> Vec<String> {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/w\"]\n\
             listen = [\"127.0.0.1:80\"]\n{keys}\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
        let case = (&app, Target::Portable);
        let found = after_failed_pre_check(case, app.services.first(), &[line.to_owned()]);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_network_of_the_instance_is_named_only_where_it_is_the_cause() {
        const DIRECT: &str = "socket = \"direct\"";
        for line in [
            "ConnectionRefusedError: [Errno 111] Connection refused",
            "Error: connect ECONNREFUSED 127.0.0.1:5432",
            "connect ENETUNREACH 192.0.2.1:443",
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "getaddrinfo EAI_AGAIN db.example.org",
        ] {
            let found = hints(DIRECT, line);
            let [again, why, loopback, outbound] = found.as_slice() else {
                panic!("{line}: {found:?}");
            };
            assert_eq!(again, "fix it and deploy again");
            assert!(why.contains("has a network of its own"), "{why}");
            assert!(
                loopback.contains("in `[service.web]`, write `sandbox.allow = [\"loopback\"]`"),
                "{loopback}"
            );
            assert!(
                outbound.ends_with("and write `pre-check = false` in `[service.web]`"),
                "{outbound}"
            );
            // systemd opens its socket, so it is pre-checked in the network of the host.
            assert_eq!(hints("", line), ["fix it and deploy again"]);
        }
        for line in ["KeyError: 'X'", ""] {
            assert_eq!(hints(DIRECT, line), ["fix it and deploy again"]);
        }
    }

    /// A key `sandbox.allow` beside a table `sandbox` is given twice.
    #[test]
    fn the_exception_is_written_where_the_manifest_has_others() {
        for keys in [
            "sandbox = { allow = [\"outbound\"] }",
            "sandbox.allow = [\"outbound\"]",
            "[service.web.sandbox]\nallow = [\"outbound\"]",
        ] {
            let found = hints(
                &format!("socket = \"direct\"\n{keys}"),
                "connection refused",
            );
            let advice =
                "in `sandbox` of `[service.web]`, write `allow = [\"outbound\", \"loopback\"]`";
            assert!(found.iter().any(|hint| hint.contains(advice)), "{found:?}");
        }
    }

    #[test]
    fn what_the_manifest_allows_already_is_not_suggested() {
        let line = "connection refused";
        let outbound = "socket = \"direct\"\nsandbox = { allow = [\"outbound\"] }";
        let found = hints(outbound, line).join("\n");
        assert!(
            found.contains("loopback") && !found.contains("sandbox.outbound"),
            "{found}"
        );
        let loopback =
            "socket = \"direct\"\npre-check = true\nsandbox = { allow = [\"loopback\"] }";
        let found = hints(loopback, line).join("\n");
        assert!(!found.contains("needs a program"), "{found}");
    }
}
