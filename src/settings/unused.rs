//! Variables in `/etc/<app>/env` that nothing seems to read.

use super::env_file::env_values;
use super::variables::OF_SYSTEMD;
use crate::app::{App, Service, Text};
use crate::host::{Root, absent_words};
use anyhow::Result;

/// Releases with more bytes are not searched.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How the names of variables begin that interpreters, libraries and servers of the host read.
const OF_PROGRAMS: &[&str] = &[
    "ALL_PROXY",
    "AWS_",
    "CURL_",
    "DJANGO_",
    "FLASK_",
    "FORWARDED_ALLOW_IPS",
    "GC_",
    "GEM_",
    "GIT_",
    "GODEBUG",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOTRACEBACK",
    "GUNICORN_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "JAVA_",
    "JDK_",
    "LC_",
    "LD_",
    "MALLOC_",
    "NODE_",
    "NO_COLOR",
    "NO_PROXY",
    "NPM_",
    "OMP_",
    "OPENSSL_",
    "OTEL_",
    "PERL",
    "PG",
    "PHP_",
    "PYTHON",
    "RACK_",
    "RAILS_",
    "REQUESTS_",
    "RUBY",
    "RUST_",
    "SENTRY_",
    "SSL_",
    "TMPDIR",
    "UV_",
    "UVICORN_",
    "VIRTUAL_ENV",
    "WEB_CONCURRENCY",
    "XDG_",
];

/// The variables that only `/etc/<app>/env` names: no service requires them, the manifest does not set them,
/// no program of the host is known to read them, and no file of the live release contains their name. Empty
/// where that cannot be known: a large release, or a service whose program is not part of it.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn unused_variables(root: &Root, app: &App, release: &str) -> Result<Vec<String>> {
    let values = env_values(root, &app.layout)?;
    let names: Vec<&str> = values.keys().map(String::as_str).collect();
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| !is_known(app, name))
        .collect();
    let current = app.layout.current();
    let is_in_release = |word: &Text| word.as_str().starts_with(&current);
    let runs_release = |service: &Service| service.exec.iter().any(is_in_release);
    if names.is_empty() || !app.services.iter().all(runs_release) {
        return Ok(Vec::new());
    }
    // A program may put a prefix before the name of a field, such as `SHOP_` before `db_url`.
    let words: Vec<&str> = names
        .iter()
        .map(|name| {
            name.split_once('_')
                .map_or(*name, |(_, rest)| if rest.len() < 3 { *name } else { rest })
        })
        .collect();
    let Some(absent) = absent_words(&root.path(release), &words, MAX_BYTES)? else {
        return Ok(Vec::new());
    };
    let pairs = names.into_iter().zip(words);
    let unused = pairs.filter(|(_, word)| absent.contains(word));
    Ok(unused.map(|(name, _)| name.to_owned()).collect())
}

fn is_known(app: &App, name: &str) -> bool {
    let mut services = app.services.iter();
    let in_manifest = services.any(|service| {
        service.env.iter().any(|(key, _)| key.as_str() == name)
            || service.required_env.iter().any(|key| key.as_str() == name)
    });
    in_manifest
        || OF_SYSTEMD.contains(&name)
        || OF_PROGRAMS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::unused_variables;
    use crate::app::App;
    use crate::host::Root;
    use crate::manifest::parse;

    #[test]
    fn only_a_name_that_nothing_contains_is_unused() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let app = |exec: &str| {
            let text = format!(
                "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"{exec}\"]\n\
                 required-env = [\"NEEDED\"]\nenv = {{ SET = \"1\" }}\n"
            );
            App::from_manifest(&parse(&text).unwrap(), None).unwrap()
        };
        root.make_dir("/etc/shop", 0o755).unwrap();
        root.make_dir("/opt/shop/releases/1", 0o755).unwrap();
        let env =
            b"NEEDED=1\nSET=2\nPYTHONUNBUFFERED=1\nTZ=UTC\nPORT=1\nSHOP_DB_URL=x\nCOLUOR=red\n";
        root.write_atomic("/etc/shop/env", env, 0o600).unwrap();
        let code = b"os.environ['PORT'], settings.db_url, environ['COLOUR']";
        root.write_atomic("/opt/shop/releases/1/app.py", code, 0o644)
            .unwrap();
        let of = |exec| unused_variables(&root, &app(exec), "/opt/shop/releases/1").unwrap();
        assert_eq!(of("{current}/app.py"), ["COLUOR"]);
        // Another program may read anything.
        assert_eq!(of("/usr/bin/server"), [""; 0]);
    }
}
