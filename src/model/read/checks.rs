//! `service.NAME.check`.

use super::{Path, Reader, get, quoted};
use crate::manifest::{CheckTable, Problem, Result, ServiceTable};
use crate::model::names::{Span, Text};
use crate::model::{Check, Listen, Probe};

impl Reader<'_> {
    pub(super) fn checks(
        &self,
        key: &str,
        table: &ServiceTable,
        listen: &[Listen],
    ) -> Result<Vec<Check>> {
        let mut out = Vec::new();
        for (index, check) in table.check.iter().enumerate() {
            let index = index.to_string();
            let path = ["service", key, "check", &index];
            out.push(Check {
                probe: self.probe(&path, check, listen)?,
                within: match &check.within {
                    Some(text) => get(&path, text, "a time span", Span::parse)?,
                    None => Span::seconds(30),
                },
            });
        }
        Ok(out)
    }

    fn probe(&self, path: Path<'_>, check: &CheckTable, listen: &[Listen]) -> Result<Probe> {
        let CheckTable {
            http,
            status,
            contains,
            tcp,
            unix,
            command,
            settle,
            within: _,
        } = check;
        let kinds = [
            http.is_some(),
            tcp.is_some(),
            unix.is_some(),
            command.is_some(),
            settle.is_some(),
        ];
        if kinds.iter().filter(|given| **given).count() != 1 {
            return Err(Problem::new(path, "a check looks at exactly one thing")
                .hint("give one of `http`, `tcp`, `unix`, `command`, `settle`"));
        }
        if http.is_none() && (status.is_some() || contains.is_some()) {
            return Err(Problem::new(
                path,
                "`status` and `contains` belong to `http`",
            ));
        }
        if let Some(text) = http {
            return self.http(path, text, check, listen);
        }
        if let Some(text) = tcp {
            let parse = |text: &str| text.parse().map_err(|_| "write `127.0.0.1:8080`");
            return get(path, text, "an address", parse).map(Probe::Tcp);
        }
        if let Some(text) = unix {
            return self.path(path, text).map(Probe::Unix);
        }
        if let Some(argv) = command {
            return self.command(path, argv).map(Probe::Command);
        }
        let text = settle.as_deref().unwrap_or_default();
        get(path, text, "a time span", Span::parse).map(Probe::Settle)
    }

    fn http(
        &self,
        path: Path<'_>,
        text: &str,
        check: &CheckTable,
        listen: &[Listen],
    ) -> Result<Probe> {
        let (address, rest) = match text.strip_prefix("http://") {
            Some(rest) => {
                let (host, page) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let parse = |text: &str| text.parse().map_err(|_| "write `127.0.0.1:8080`");
                (Some(get(path, host, "an address", parse)?), page)
            }
            None if listen.is_empty() => {
                return Err(Problem::new(path, "the service has no address to check")
                    .hint("write the whole address: `http = \"http://127.0.0.1:8080/healthz\"`"));
            }
            None => (None, text),
        };
        let page = if rest.is_empty() { "/" } else { rest };
        let odd = |c: char| c.is_whitespace() || !c.is_ascii_graphic();
        if !page.starts_with('/') || page.contains(odd) {
            return Err(
                Problem::new(path, format!("{} is not a path to GET", quoted(page)))
                    .hint("begin with `/` and write other characters as `%20`"),
            );
        }
        Ok(Probe::Http {
            address,
            path: get(path, page, "usable text", Text::parse)?,
            status: check.status.unwrap_or(200),
            contains: match &check.contains {
                Some(text) => Some(get(path, text, "usable text", Text::parse)?),
                None => None,
            },
        })
    }
}
