//! The sandbox of a build: that of a service without network, with what builds need beyond it.
//!
//! Every directive comes from [the table of services](super::directives).

use super::exceptions::PRESETS;
use super::prefix::Prefix;
use super::shape::{Listener, Needs, Shape};

/// What runs in a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildProgram {
    /// venv and pip, with the code of packages that pip builds from source.
    Installer,
    /// A command of `release.build`.
    Command,
}

/// An exception that builds have.
#[derive(Debug, Clone, Copy)]
pub struct BuildException {
    /// Its name in [`EXCEPTIONS`](super::exceptions::EXCEPTIONS).
    pub name: &'static str,
    /// Whether venv and pip have it, too.
    pub of_installer: bool,
    /// What builds do with it.
    pub needed_by: &'static str,
}

/// What every build can do, in alphabetical order.
#[rustfmt::skip]
pub const BUILD_EXCEPTIONS: &[BuildException] = &[
    BuildException { name: "exec-writable", of_installer: true,
        needed_by: "they run what they have made or unpacked, such as `node_modules/.bin`, `./configure` and extensions of Python" },
    BuildException { name: "jit", of_installer: false,
        needed_by: "Node.js, Java and .NET compile in memory" },
    BuildException { name: "netlink", of_installer: true,
        needed_by: "getaddrinfo(3) and Node.js ask which addresses there are" },
    BuildException { name: "pkey", of_installer: false,
        needed_by: "V8, the engine of Node.js" },
    BuildException { name: "proc-files", of_installer: true,
        needed_by: "compilers use as many processors as there are" },
    BuildException { name: "setuid-self", of_installer: true,
        needed_by: "make sets its own user for each command that it starts" },
];

/// What `[release.sandbox] allow` can add, in alphabetical order.
pub const BUILD_CHOICES: [&str; 5] = ["host-files", "jit", "loopback", "nice", "outbound"];

/// Those that open the network of the host.
pub const BUILD_NETWORK: [&str; 2] = ["loopback", "outbound"];

/// Files outside `/usr` that build tools read, beside those of the runtimes.
const FILES: [&str; 14] = [
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/gitconfig",
    "/etc/host.conf",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/magic",
    "/etc/maven",
    "/etc/npmrc",
    "/etc/os-release",
    "/etc/perl",
    "/etc/pip.conf",
    "/etc/protocols",
    "/etc/timezone",
];

/// The shape of a build with these exceptions and these addresses to connect to.
///
/// Without either, it has a network of its own with nothing but loopback. With the network of the host, the
/// programs of this host stay closed, but for the resolvers.
pub fn build_shape(
    program: BuildProgram,
    allow: impl Iterator<Item = &'static str>,
    outbound: &[Prefix],
    resolvers: &[Prefix],
) -> Shape {
    let own = BUILD_EXCEPTIONS
        .iter()
        .filter(|one| program == BuildProgram::Command || one.of_installer);
    let mut needs = Needs {
        allow: own.map(|one| one.name).chain(allow).collect(),
        outbound: outbound.to_vec(),
        files: FILES.into_iter().collect(),
        ..Needs::default()
    };
    needs
        .files
        .extend(PRESETS.iter().flat_map(|preset| preset.files));
    let reaches = |name| needs.allow.contains(name);
    match (reaches("outbound"), reaches("loopback")) {
        (true, false) => {
            needs.closed = Prefix::LOOPBACK.to_vec();
            needs.outbound = resolvers.to_vec();
        }
        (false, false) if outbound.is_empty() => needs.listener = Listener::Proxied,
        _ => {}
    }
    Shape::new(needs)
}

#[cfg(test)]
mod tests {
    use super::{BUILD_CHOICES, BUILD_EXCEPTIONS, BuildProgram, build_shape};
    use crate::sandbox::directives;
    use crate::sandbox::exceptions::EXCEPTIONS;
    use crate::sandbox::prefix::Prefix;
    use crate::units::Target;

    /// The values of a directive for a build.
    fn values(
        program: BuildProgram,
        allow: &[&'static str],
        outbound: &[&str],
        name: &str,
    ) -> String {
        let parse = |text: &str| Prefix::parse(text).unwrap();
        let outbound: Vec<Prefix> = outbound.iter().map(|text| parse(text)).collect();
        let resolvers = [parse("127.0.0.53")];
        let shape = build_shape(program, allow.iter().copied(), &outbound, &resolvers);
        let lines = directives::lines(&shape, Target::Version(252)).into_iter();
        let lines = lines.filter(|(known, _)| *known == name);
        let lines: Vec<String> = lines.map(|(_, value)| value).collect();
        lines.join(" ")
    }

    #[test]
    fn exceptions_of_builds_are_those_of_services() {
        let own = BUILD_EXCEPTIONS.iter().map(|one| one.name);
        for name in own.chain(BUILD_CHOICES) {
            assert!(EXCEPTIONS.iter().any(|one| one.name == name), "{name}");
        }
    }

    #[test]
    fn the_network_of_a_build_follows_the_manifest() {
        for (allow, outbound, private, deny, allowed) in [
            (&[][..], &[][..], "yes", "any", "localhost"),
            (&["outbound"], &[], "no", "localhost", "127.0.0.53"),
            (&["loopback", "outbound"], &[], "no", "", ""),
            (&["loopback"], &[], "no", "any", "localhost"),
            (&[], &["192.0.2.7"], "no", "any", "192.0.2.7"),
        ] {
            let value = |name| values(BuildProgram::Command, allow, outbound, name);
            assert_eq!(value("PrivateNetwork"), private, "{allow:?}");
            assert_eq!(value("IPAddressDeny"), deny, "{allow:?}");
            assert_eq!(value("IPAddressAllow"), allowed, "{allow:?}");
        }
    }

    #[test]
    fn pip_cannot_write_to_memory_that_it_executes() {
        let value = |program, allow| values(program, allow, &[], "MemoryDenyWriteExecute");
        assert_eq!(value(BuildProgram::Installer, &[]), "yes");
        assert_eq!(value(BuildProgram::Installer, &["jit"]), "no");
        assert_eq!(value(BuildProgram::Command, &[]), "no");
    }
}
