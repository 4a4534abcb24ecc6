//! `service.NAME.check`.

use super::reader::{Path, Reader, get, quoted};
use crate::app::listen::Listen;
use crate::app::names::{Span, Text};
use crate::app::service::{Check, Probe};
use crate::manifest::{CheckTable, Problem, Result, ServiceTable};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How long a check is retried by default, in seconds.
const DEFAULT_WITHIN_SECONDS: u64 = 30;
/// How long a job may take by default, in seconds: it runs once.
const DEFAULT_JOB_SECONDS: u64 = 300;

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
                probe: self.probe(&path, check, listen, table.timer.is_some())?,
                within: match &check.within {
                    Some(text) => {
                        let path = ["service", key, "check", &index, "within"];
                        get(&path, text, "a time span", Span::parse)?
                    }
                    None if check.job == Some(true) => Span::seconds(DEFAULT_JOB_SECONDS),
                    None => Span::seconds(DEFAULT_WITHIN_SECONDS),
                },
            });
        }
        Ok(out)
    }

    fn probe(
        &self,
        path: Path<'_>,
        check: &CheckTable,
        listen: &[Listen],
        timer: bool,
    ) -> Result<Probe> {
        let CheckTable {
            http,
            status,
            contains,
            tcp,
            unix,
            command,
            settle,
            header,
            json,
            job,
            within: _,
        } = check;
        let kinds = [
            ("`http`", http.is_some()),
            ("`tcp`", tcp.is_some()),
            ("`unix`", unix.is_some()),
            ("`command`", command.is_some()),
            ("`job`", *job == Some(true)),
            ("`settle`", settle.is_some()),
        ];
        let given: Vec<&str> = kinds
            .iter()
            .filter_map(|(name, given)| given.then_some(*name))
            .collect();
        if given.len() != 1 {
            let found = match given.as_slice() {
                [] => "none".to_owned(),
                several => several.join(", "),
            };
            let message = format!("a check needs exactly one kind, and has {found}");
            let names = kinds.map(|(name, _)| name).join(", ");
            return Err(Problem::new(path, message, format!("write one of {names}")));
        }
        let answer = status.is_some() || contains.is_some();
        if http.is_none() && (answer || !header.is_empty() || !json.is_empty()) {
            let message =
                "`status`, `contains`, `header` and `json` are only valid together with `http`";
            let hint = "add `http = \"/healthz\"`, or remove them";
            return Err(Problem::new(path, message, hint));
        }
        let at = |last: &'static str| -> Vec<&str> { [path, &[last]].concat() };
        if *job == Some(true) {
            if timer {
                return Ok(Probe::Job);
            }
            let message = "`job` needs a service with a `timer`";
            let hint = "check a service that keeps running with `http`, `tcp` or `settle`";
            return Err(Problem::new(&at("job"), message, hint));
        }
        if let Some(text) = http {
            let text = self.expand(&at("http"), text)?;
            let mut check = check.clone();
            if let Some(text) = &mut check.contains {
                *text = self.expand(&at("contains"), text)?;
            }
            for text in check.header.values_mut() {
                *text = self.expand(&at("header"), text)?;
            }
            return http_probe(&at, &text, &check, listen);
        }
        if let Some(text) = tcp {
            let text = self.expand(&at("tcp"), text)?;
            return get(&at("tcp"), &text, "an address", address).map(Probe::Tcp);
        }
        if let Some(text) = unix {
            return self.path(&at("unix"), text).map(Probe::Unix);
        }
        if let Some(argv) = command {
            return self.command(&at("command"), argv).map(Probe::Command);
        }
        let text = settle.as_deref().unwrap_or_default();
        get(&at("settle"), text, "a time span", Span::parse).map(Probe::Settle)
    }
}

fn address(text: &str) -> std::result::Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write address and port: `127.0.0.1:8080`")
}

fn http_probe<'a>(
    at: &dyn Fn(&'static str) -> Vec<&'a str>,
    text: &str,
    check: &CheckTable,
    listen: &[Listen],
) -> Result<Probe> {
    let path = at("http");
    let (address, rest) = match text.strip_prefix("http://") {
        Some(rest) => {
            let (host, page) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(get(&path, host, "an address", address)?), page)
        }
        None if listen.is_empty() => {
            return Err(Problem::new(
                &path,
                "the service has no address to check",
                "write the full address: `http = \"http://127.0.0.1:8080/healthz\"`",
            ));
        }
        None => (None, text),
    };
    let page = if rest.is_empty() { "/" } else { rest };
    if !page.starts_with('/') || !page.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Problem::new(
            &path,
            format!("{} is not a valid HTTP path", quoted(page)),
            "start it with `/` and percent-encode other characters: `%20`",
        ));
    }
    Ok(Probe::Http {
        address,
        path: get(&path, page, "valid text", Text::parse)?,
        status: check.status.unwrap_or(200),
        contains: match &check.contains {
            Some(text) => Some(get(&at("contains"), text, "valid text", Text::parse)?),
            None => None,
        },
        headers: headers(&at("header"), &check.header)?,
        json: json(&at("json"), &check.json)?,
    })
}

fn headers(path: Path<'_>, table: &BTreeMap<String, String>) -> Result<Vec<(Text, Text)>> {
    let pair = |(name, value): (&String, &String)| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("{} is not a valid header name", quoted(name));
            return Err(Problem::new(
                path,
                message,
                "use only letters, digits and `-`",
            ));
        }
        Ok((
            get(path, name, "valid text", Text::parse)?,
            get(path, value, "valid text", Text::parse)?,
        ))
    };
    table.iter().map(pair).collect()
}

/// JSON has no dates, NaN or infinity (RFC 8259, 6).
fn has_json(value: &toml::Value) -> bool {
    match value {
        toml::Value::Datetime(_) => false,
        toml::Value::Float(float) => float.is_finite(),
        toml::Value::Array(values) => values.iter().all(has_json),
        toml::Value::Table(values) => values.values().all(has_json),
        toml::Value::String(_) | toml::Value::Integer(_) | toml::Value::Boolean(_) => true,
    }
}

fn json(
    path: Path<'_>,
    table: &BTreeMap<String, toml::Value>,
) -> Result<Vec<(Text, serde_json::Value)>> {
    let pair = |(pointer, value): (&String, &toml::Value)| {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let message = format!("{} is not a JSON pointer", quoted(pointer));
            return Err(Problem::new(
                path,
                message,
                "write it as in RFC 6901: `\"/status\"`, `\"/checks/0/name\"`",
            ));
        }
        let no_json = || {
            let message = format!("the value of {} cannot be JSON", quoted(pointer));
            Problem::new(
                path,
                message,
                "write a string, a number, `true`, `false`, a list or a table",
            )
        };
        if !has_json(value) {
            return Err(no_json());
        }
        let value = serde_json::to_value(value).map_err(|_| no_json())?;
        Ok((get(path, pointer, "valid text", Text::parse)?, value))
    };
    table.iter().map(pair).collect()
}
