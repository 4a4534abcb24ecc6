//! Secrets that a service could read although the manifest gives them to another service.
//!
//! Processes of one user in one user namespace can open each other's files below `/proc/PID/root`
//! (ptrace(2), "Ptrace access mode checking"), which holds their secrets. `PrivateUsers=` gives each
//! service a user namespace of its own (systemd.exec(5)). Hooks have all secrets.

use crate::app::application::App;
use crate::app::service::Service;
use crate::manifest::{Problem, Result};

/// Refuses services that share a user, have no private users, and have different secrets.
pub(super) fn check_secret_access(app: &App) -> Result<()> {
    let hooks = [&app.hooks.before_switch, &app.hooks.after_switch];
    let services = app.services.iter().chain(hooks.into_iter().flatten());
    let open = services.filter(|service| !has_private_users(app, service));
    let open: Vec<&Service> = open.collect();
    for service in &open {
        for other in open.iter().filter(|other| other.user == service.user) {
            let lacks = |secret: &&_| !other.secrets.contains(*secret);
            if let Some(secret) = service.secrets.iter().find(lacks) {
                let message = format!(
                    "service `{}` could read the secret `{secret}` of `{}`: both run as `{}` without private users",
                    other.name, service.name, service.user
                );
                let hint = format!(
                    "give service `{}` a `user` of its own, or list `{}` in `services` of the secret too",
                    service.name, other.name
                );
                return Err(Problem::new(
                    &["service", other.name.as_str(), "sandbox"],
                    message,
                    hint,
                ));
            }
        }
    }
    Ok(())
}

fn has_private_users(app: &App, service: &Service) -> bool {
    let mut directives = service.sandbox.directives.iter();
    let is_off = |value: &str| {
        let value = value.to_ascii_lowercase();
        ["no", "false", "off", "0", "n", "f"].contains(&value.as_str())
    };
    let turned_off =
        directives.any(|(name, value)| name == "PrivateUsers" && is_off(value.as_str()));
    app.shape(service).private_users && !turned_off
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::manifest::parse;

    fn problem(web: &str, worker: &str, secret: &str) -> Option<String> {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/a\"]\n{web}\n\
             [service.worker]\nexec = [\"/bin/b\"]\n{worker}\n[[secret]]\nname = \"KEY\"\n{secret}\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None);
        app.err().map(|problem| problem.to_string())
    }

    #[test]
    fn a_secret_that_another_service_could_read_is_refused() {
        let open = "sandbox.allow = [\"host-users\"]";
        let low = "sandbox.allow = [\"low-port\"]";
        let raw = "sandbox.directives.PrivateUsers = \"No\"";
        let of_web = "services = [\"web\"]";
        for (web, worker) in [(open, open), (open, low), (raw, low)] {
            let problem = problem(web, worker, of_web).unwrap();
            assert!(
                problem.contains("service `worker` could read the secret `KEY` of `web`"),
                "{problem}"
            );
        }
        // One of them has a user namespace of its own, or both have the secret, or other users.
        for (web, worker, secret) in [
            ("", open, of_web),
            (open, "", of_web),
            ("", "", of_web),
            (open, low, ""),
            (
                open,
                "user = \"other\"\nsandbox.allow = [\"low-port\"]",
                of_web,
            ),
        ] {
            assert_eq!(problem(web, worker, secret), None, "{web} {worker}");
        }
    }
}
