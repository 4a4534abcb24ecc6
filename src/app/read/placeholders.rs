//! Placeholders: `{state}`, `{listen.web.port}` and others in the texts of a manifest.
//!
//! A placeholder is a known name in braces. A name that is similar to one is mistyped, and a problem. `{{state}}` is the
//! text `{state}`. Every other brace is literal, so JSON and templates of other programs need no care, and so is every
//! brace after `$`, as in `${state}` of a shell.

use super::reader::{Path, Policy, Reader, quoted};
use crate::app::layout::PATH_PLACEHOLDERS;
use crate::app::listen::Listen;
use crate::app::placeholders::{HOSTNAME, LISTEN_PLACEHOLDERS, NAME_PLACEHOLDERS};
use crate::manifest::{Problem, Result, is_similar, nearest};

impl Reader<'_> {
    /// A text with the values of its placeholders.
    pub(super) fn expand(&self, path: Path<'_>, text: &str) -> Result<String> {
        let service = match path {
            ["service", name, ..] => Some(*name),
            _ => None,
        };
        self.expand_for(service, path, text)
    }

    /// The same for a text that is not written in the table of its service.
    pub(super) fn expand_for(
        &self,
        service: Option<&str>,
        path: Path<'_>,
        text: &str,
    ) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(brace) = rest.find('{') {
            let (before, from) = rest.split_at(brace);
            out.push_str(before);
            let is_of_shell = before.ends_with('$');
            let doubled = literal(from).filter(|(name, _)| self.is_meant(name));
            let single = placeholder(from).filter(|(name, _)| self.is_meant(name));
            rest = match (doubled, single) {
                (Some((name, after)), _) if !is_of_shell => {
                    out.push_str(&self.as_text(path, name)?);
                    after
                }
                (_, Some((name, after))) if !is_of_shell => {
                    match self.value(service, path, name) {
                        Err(_) if self.policy == Policy::Recorded => {
                            out.push_str(&format!("{{{name}}}"));
                        }
                        value => out.push_str(&value?),
                    }
                    after
                }
                _ => {
                    out.push('{');
                    from.get(1..).unwrap_or_default()
                }
            };
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Whether a name in braces is a placeholder, or one that is mistyped.
    fn is_meant(&self, name: &str) -> bool {
        name.starts_with("listen.") || self.known().iter().any(|known| is_similar(name, known))
    }

    /// Every placeholder that has a value in this manifest.
    fn known(&self) -> Vec<String> {
        let names = PATH_PLACEHOLDERS.iter().map(|(name, _)| *name);
        let names = names.chain(NAME_PLACEHOLDERS.iter().map(|(name, _)| *name));
        let mut known: Vec<String> = names.map(str::to_owned).collect();
        for service in self.manifest.service.keys() {
            for (one, _) in LISTEN_PLACEHOLDERS {
                known.push(one.replace("NAME", service));
            }
        }
        known
    }

    /// `{name}` as text.
    fn as_text(&self, path: Path<'_>, name: &str) -> Result<String> {
        let text = format!("{{{name}}}");
        if text == HOSTNAME && takes_host_name(path) {
            self.policy.enforce(Err(Problem::new(
                path,
                format!("`{{{text}}}` cannot be the text `{text}` here"),
                "systemd would replace it: write another word",
            )))?;
        }
        Ok(text)
    }

    fn value(&self, service: Option<&str>, path: Path<'_>, name: &str) -> Result<String> {
        if let Some(value) = self.layout.placeholder(name) {
            return Ok(value);
        }
        let problem = |message: String, hint: &str| Err(Problem::new(path, message, hint));
        match (name, service) {
            ("app", _) => Ok(self.name.to_string()),
            ("service", Some(service)) => Ok(service.to_owned()),
            ("service", None) => problem(
                "`{service}` has no value here, outside of a service".to_owned(),
                "write it in the table of a service, or write the name",
            ),
            ("environment", _) => {
                let name = self.environment.as_ref().map(ToString::to_string);
                Ok(name.unwrap_or_default())
            }
            ("version", _) => Ok(self.manifest.app.version.clone()),
            ("hostname", _) if takes_host_name(path) => Ok(HOSTNAME.to_owned()),
            ("hostname", _) => problem(
                format!("`{HOSTNAME}` is not known here, before the service starts"),
                "use it in `env` and in the arguments of commands",
            ),
            _ => match name.strip_prefix("listen.") {
                Some(of) => self.address(path, name, of),
                None => Err(self.unknown(path, name)),
            },
        }
    }

    /// `{listen.SERVICE}`, `{listen.SERVICE.host}`, `{listen.SERVICE.port}`
    fn address(&self, path: Path<'_>, name: &str, of: &str) -> Result<String> {
        if matches!(path, ["service", _, "listen", ..]) {
            return Err(Problem::new(
                path,
                format!("an address cannot be made from another one, as with `{{{name}}}`"),
                "write the address here, and placeholders where clients use it",
            ));
        }
        let (service, part) = of.split_once('.').unwrap_or((of, ""));
        let Some(table) = self.manifest.service.get(service) else {
            return Err(self.unknown(path, name));
        };
        let (addresses, _) = self.listen(service, table)?;
        let Some(first) = addresses.first() else {
            return Err(Problem::new(
                path,
                format!("`{{{name}}}` has no value: service `{service}` has no address"),
                format!("add `listen = [\"127.0.0.1:8080\"]` to `[service.{service}]`"),
            ));
        };
        match (part, first, first.local_address()) {
            ("", Listen::Unix(socket), _) => Ok(socket.to_string()),
            ("", _, Some(address)) => Ok(address.to_string()),
            ("host", _, Some(address)) => Ok(address.ip().to_string()),
            ("port", _, Some(address)) => Ok(address.port().to_string()),
            ("host" | "port", _, None) => Err(Problem::new(
                path,
                format!("`{{{name}}}` has no value: `{first}` is a unix socket"),
                format!("write `{{listen.{service}}}` for its path"),
            )),
            _ => Err(self.unknown(path, name)),
        }
    }

    fn unknown(&self, path: Path<'_>, name: &str) -> Problem {
        let known = self.known();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let message = format!("there is no placeholder {}", quoted(&format!("{{{name}}}")));
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{{{near}}}`?"),
            None => format!("for the text itself, write `{{{{{name}}}}}`"),
        };
        Problem::new(path, message, hint)
    }
}

/// Whether a value is in a unit, where systemd replaces specifiers.
fn takes_host_name(path: Path<'_>) -> bool {
    match path {
        ["env" | "hooks", ..] => true,
        ["service", _, key, ..] if key.starts_with("exec") || *key == "env" => true,
        ["service", _, "check", .., last] => *last == "command",
        _ => false,
    }
}

/// The name of the placeholder at the start of a text, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    (begins && name.chars().all(fits)).then_some((name, after))
}

/// The name in `{{name}}` at the start of a text, and the text after it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let (name, after) = placeholder(text.strip_prefix('{')?)?;
    Some((name, after.strip_prefix('}')?))
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::manifest::{HostOverlay, parse};

    const HEAD: &str = "[app]\nname = \"shop\"\nversion = \"1.2\"\n\
        [service.web]\nexec = [\"/bin/web\"]\nlisten = [\":8080\"]\n\
        [service.v6]\nexec = [\"/bin/web\"]\nlisten = [\"a=[::]:8081\", \"b=[::1]:9\"]\n\
        [service.own-path]\nexec = [\"/bin/web\"]\nlisten = [\"unix:/run/x.sock\"]\n\
        [service.none]\nexec = [\"/bin/web\"]\n[environment.staging]\nlisten.web = [\"127.0.0.1:9080\"]\n";

    fn app(service: &str, environment: Option<&str>, host: &str) -> Result<App, String> {
        let text = format!("{HEAD}[service.client]\nexec = [\"/bin/c\"]\n{service}\n");
        let host = HostOverlay::parse("/etc/l.toml", host).unwrap();
        let app = App::on_host(&parse(&text).unwrap(), environment, Some(&host));
        app.map_err(|problem| problem.at(&text).to_string().replace("\n\nhint: ", " | "))
    }

    fn value(text: &str, environment: Option<&str>, host: &str) -> Result<String, String> {
        let service = format!("env.A = '{text}'");
        let app = app(&service, environment, host)?;
        let client = app.service("client").unwrap();
        Ok(client.env.first().unwrap().1.to_string())
    }

    #[test]
    fn placeholders_have_values_and_every_other_brace_is_literal() {
        for (text, expected) in [
            ("{listen.web}", "127.0.0.1:8080"),
            ("http://{listen.web}/x", "http://127.0.0.1:8080/x"),
            ("{listen.web.host} {listen.web.port}", "127.0.0.1 8080"),
            ("{listen.v6} {listen.v6.host}", "[::1]:8081 ::1"),
            ("{listen.own-path}", "/run/x.sock"),
            ("{app} {service} {version}", "shop client 1.2"),
            ("[{environment}]", "[]"),
            ("{hostname}", "{hostname}"),
            ("{state}/a:{current}", "/var/lib/shop/a:/opt/shop/current"),
            ("{\"json\": 1}", "{\"json\": 1}"),
            (
                "[{\"name\":\"a\",\"in\":{\"url\":\"http://{listen.web}\"}}]",
                "[{\"name\":\"a\",\"in\":{\"url\":\"http://127.0.0.1:8080\"}}]",
            ),
            ("{{app}} {{stat}}", "{app} {stat}"),
            (
                "{{{{name}}}} {{name}} {print} {message}",
                "{{{{name}}}} {{name}} {print} {message}",
            ),
            (
                "${state} ${x} ${version:-1} %{http_code}",
                "${state} ${x} ${version:-1} %{http_code}",
            ),
            ("{{{app}}}", "{{app}}"),
            (
                "{} { } {{ x }} {X} ${HOME} {1} a{2,3} {.Name} {",
                "{} { } {{ x }} {X} ${HOME} {1} a{2,3} {.Name} {",
            ),
            ("{{state} {", "{/var/lib/shop {"),
        ] {
            assert_eq!(value(text, None, ""), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn placeholders_follow_the_environment_and_the_host() {
        let text = "{app} {environment} {listen.web}";
        let of = |environment, host| value(text, environment, host).unwrap();
        assert_eq!(of(None, ""), "shop  127.0.0.1:8080");
        assert_eq!(
            of(Some("staging"), ""),
            "shop-staging staging 127.0.0.1:9080"
        );
        let host = "service.web.listen = [\"192.0.2.1:7\"]";
        assert_eq!(
            of(Some("staging"), host),
            "shop-staging staging 192.0.2.1:7"
        );
    }

    #[test]
    fn a_placeholder_without_a_value_is_a_problem_with_its_line() {
        for (text, expected) in [
            (
                "{stat}",
                "there is no placeholder `{stat}` | did you mean `{state}`?",
            ),
            (
                "{listen.wbe}",
                "there is no placeholder `{listen.wbe}` | did you mean `{listen.web}`?",
            ),
            (
                "{listen.web.prot}",
                "there is no placeholder `{listen.web.prot}` | did you mean `{listen.web.port}`?",
            ),
            (
                "{listen.}",
                "there is no placeholder `{listen.}` | did you mean `{listen.v6}`?",
            ),
            (
                "{listen.zzzzzzzzzzzz}",
                "there is no placeholder `{listen.zzzzzzzzzzzz}` | for the text itself, write `{{listen.zzzzzzzzzzzz}}`",
            ),
            (
                "{listen.none}",
                "`{listen.none}` has no value: service `none` has no address | add `listen = [\"127.0.0.1:8080\"]` to \
                 `[service.none]`",
            ),
            (
                "{listen.own-path.port}",
                "`{listen.own-path.port}` has no value: `/run/x.sock` is a unix socket | write `{listen.own-path}` for \
                 its path",
            ),
            (
                "{{hostname}}",
                "`{{hostname}}` cannot be the text `{hostname}` here | systemd would replace it: write another word",
            ),
        ] {
            assert_eq!(
                value(text, None, ""),
                Err(format!("line 19: {expected}")),
                "{text}"
            );
        }
        for (service, expected) in [
            (
                "listen = [\"{listen.web}\"]",
                "an address cannot be made from another one",
            ),
            (
                "working-directory = \"/{hostname}\"",
                "`{hostname}` is not known here",
            ),
            (
                "sandbox.read-only = [\"/srv/{hostname}\"]",
                "`{hostname}` is not known here",
            ),
            ("[env]\nA = \"{stat}\"", "there is no placeholder `{stat}`"),
            (
                "[hooks]\nbefore-switch = [[\"/bin/a\", \"{service}\"]]",
                "`{service}` has no value here",
            ),
        ] {
            let error = app(service, None, "").unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let manifest = format!("{HEAD}[service.client]\nexec = [\"{{hostname}}/a\"]\n");
        let error = App::from_manifest(&parse(&manifest).unwrap(), None).unwrap_err();
        assert!(error.message.contains("is not an absolute path"), "{error}");
    }

    #[test]
    fn an_unknown_placeholder_of_a_record_is_literal() {
        let text = format!("{HEAD}[service.client]\nexec = [\"/bin/c\", \"{{stat}}\"]\n");
        let app = App::from_record(&parse(&text).unwrap(), None, None).unwrap();
        let argument = app.service("client").unwrap().exec.get(1).cloned();
        assert_eq!(argument.unwrap().as_str(), "{stat}");
    }

    #[test]
    fn addresses_go_into_commands_checks_and_paths() {
        let app = app(
            "exec-start-pre = [[\"/bin/wait\", \"{listen.web}\"]]\n\
             check = [{ http = \"http://{listen.web}/{service}\", contains = \"{app}\" }, { tcp = \"{listen.web}\" }, \
             { command = [\"/bin/x\", \"{listen.web.port}\"] }]\n\
             sandbox.read-only = [\"/srv/{app}:/srv/{service}\"]\n\
             condition.path-exists = \"/srv/{app}\"",
            Some("staging"),
            "",
        )
        .unwrap();
        let client = app.service("client").unwrap();
        let shown = format!("{client:?}");
        for part in [
            "127.0.0.1:9080",
            "Tcp(127.0.0.1:9080)",
            "address: Some(127.0.0.1:9080), path: Text(\"/client\")",
            "contains: Some(Text(\"shop-staging\"))",
            "Command([Text(\"/bin/x\"), Text(\"9080\")])",
            "(AbsPath(\"/srv/shop-staging\"), AbsPath(\"/srv/client\"))",
            "/srv/shop-staging",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_service_that_opens_its_port_has_it_as_a_variable() {
        for (service, expected) in [
            (
                "socket = \"direct\"\nlisten = [\"unix:/srv/a.sock\", \"127.0.0.1:7\"]",
                "PORT=7",
            ),
            (
                "socket = \"proxy\"\nlisten = [\":7\"]\nenv.Z = \"1\"",
                "PORT=7 Z=1",
            ),
            (
                "socket = \"proxy\"\nlisten = [\":7\"]\nenv.PORT = \"8\"",
                "PORT=8",
            ),
            ("socket = \"direct\"\nlisten = [\"unix:/srv/a.sock\"]", ""),
            ("listen = [\":7\"]", ""),
        ] {
            let app = app(service, None, "").unwrap();
            let env = app.service("client").unwrap().env.iter();
            let env: Vec<String> = env.map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(env.join(" "), expected, "{service}");
        }
    }
}
