//! What a message means for a service: one function for each kind of message.
//!
//! A function looks at the shape of the service. If the service is allowed what the message is about, the sandbox
//! is not the cause, and the function gives no answer.

use super::answer::{ALTERNATIVE, Judgement, Meaning, Sureness};
use super::case::{Access, AtPath, Case, is_at_or_below};
use super::seen::KnownLine;
use crate::app::{Listen, Socket};
use crate::command_line::CommandLine;
use crate::sandbox::calls::exception_for;
use crate::sandbox::exceptions::{PRESETS, Preset, preset_of};
use crate::sandbox::shape::Network;
use Sureness::{Certain, Likely, Possible};

/// Steps of a server, in lower case.
const SERVES: &[&str] = &["bind", "listen", "server", "accept"];
/// Steps of a client.
const CONNECTS: &[&str] = &[
    "connect", "dial ", "sendto", "sendmsg", "lookup", "request", "urlopen",
];
/// Steps that the packet filter of a service refuses.
pub(super) const SENDS: &[&str] = &[
    "connect",
    "dial ",
    "sendto",
    "sendmsg",
    "send:",
    "socket.send",
];
/// Addresses of this host.
const LOCAL: &[&str] = &["127.0.0.1", "localhost", "[::1]", " ::1"];

/// A message about what the program goes on without.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table ends with it"
)]
pub(super) fn harmless(why: &str) -> Judgement {
    Some((Meaning::Harmless, Certain, why.to_owned()))
}

/// A message about something else than the sandbox.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table ends with it"
)]
pub(super) fn not_the_sandbox(sureness: Sureness, text: &str) -> Judgement {
    Some((Meaning::NotTheSandbox, sureness, text.to_owned()))
}

/// A message about what the sandbox denies: what, the directive that denies it, and what to write.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table ends with it"
)]
fn denied(sureness: Sureness, what: &str, directive: &str, how: &str) -> Judgement {
    let verb = match sureness {
        Certain => "the sandbox denies it",
        Likely => "the sandbox probably denies it",
        Possible => "the sandbox may deny it",
    };
    let space = if how.starts_with(ALTERNATIVE) {
        ""
    } else {
        " "
    };
    let text = format!("{verb} {what} (`{directive}=`):{space}{how}");
    Some((Meaning::Denied, sureness, text))
}

/// A message about something that a named exception allows.
pub(super) fn exception(
    case: &Case<'_>,
    name: &'static str,
    what: &str,
    directive: &str,
) -> Judgement {
    denied(Likely, what, directive, &case.allow(name)?)
}

/// A message about something that a capability allows (capabilities(7)).
pub(super) fn capability(case: &Case<'_>, name: &str, what: &str) -> Judgement {
    if case.service.sandbox.capabilities.contains(name) {
        return None;
    }
    let cost = case.cost(|it| {
        it.sandbox.capabilities.insert(name.to_owned());
    });
    let how = format!(
        "in `{}`, write `sandbox.capabilities = [\"{name}\"]`{cost}",
        case.table()
    );
    denied(Likely, what, "CapabilityBoundingSet", &how)
}

/// A message about something that only a raw directive allows.
pub(super) fn directive(case: &Case<'_>, name: &str, value: &str, what: &str) -> Judgement {
    let mut written = case.service.sandbox.directives.iter();
    if written.any(|(one, _)| one == name) {
        return None;
    }
    let how = format!(
        "no exception allows it; if the program cannot do without it, in `{}` write \
         `sandbox.directives.{name} = \"{value}\"`",
        case.table()
    );
    denied(Likely, what, name, &how)
}

/// A limit of the service that was reached.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table ends with it"
)]
pub(super) fn limit(case: &Case<'_>, line: &str, what: &str) -> Judgement {
    let text = format!("{what}: in `{}`, write for example `{line}`", case.table());
    Some((Meaning::NotTheSandbox, Likely, text))
}

pub(super) fn cache_directory(case: &Case<'_>) -> String {
    let cache = case.app.layout.cache();
    format!(
        "the program works without a cache; `env.XDG_CACHE_HOME = \"{{cache}}\"` gives it `{cache}`"
    )
}

/// An import that fails is no denial: the sandbox shows the whole release and `/usr`.
pub(super) fn missing_module(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    // The module is there, and something of it cannot be loaded: other rows know more.
    if known.says(&[
        "shared object",
        "permission denied",
        "operation not permitted",
        "read-only file system",
    ]) {
        return None;
    }
    let python = known.says(&["modulenotfounderror", "importerror"]);
    let how = if python {
        "list its package in the requirements that `release.python` installs, or import it by the path that it has in the release"
    } else {
        "the release must contain it: check what the build installs, and what `exclude` leaves out"
    };
    let text = format!(
        "the program did not find a part of itself, and the sandbox hides nothing of `{}`; {how}",
        case.app.layout.current()
    );
    Some((Meaning::NotTheSandbox, Certain, text))
}

pub(super) fn missing_library(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if let Some(path) = known.paths().into_iter().find(|path| case.hides(path)) {
        return hidden(case, path);
    }
    let name = known.line.split(": ").find(|word| word.contains(".so"))?;
    let text = format!(
        "the host lacks the library `{name}`: install the package that contains it, or put it into the release and name \
         its directory in `env.LD_LIBRARY_PATH`"
    );
    Some((Meaning::NotTheSandbox, Likely, text))
}

fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// Gunicorn 20 gives its workers' files to its user, also when it runs as this user already.
pub(super) fn gunicorn_20(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    let how = case.runtime(preset("gunicorn-20")?)?;
    denied(
        Certain,
        "changing the owner of files, as Gunicorn up to 20.1 does",
        "SystemCallFilter",
        &how,
    )
}

/// Gunicorn says this after any error of a worker. Without the traceback of an import, it is the change of owner.
pub(super) fn worker_boot(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    // The line of the import that failed says more.
    if known.run_says(&["modulenotfounderror", "importerror", "keyerror: '"]) {
        return None;
    }
    if known.run_says(&[
        "modulenotfounderror",
        "importerror",
        "syntaxerror",
        "nameerror",
        "attributeerror",
        "failed to find",
    ]) {
        return not_the_sandbox(
            Certain,
            "the workers cannot load the application: its traceback is in the lines below",
        );
    }
    if known.run_says(&["traceback"]) && !known.run_says(&["chown", "permissionerror"]) {
        return None;
    }
    let how = case.runtime(preset("gunicorn-20")?)?;
    denied(
        Possible,
        "changing the owner of files, as Gunicorn up to 20.1 does",
        "SystemCallFilter",
        &how,
    )
}

pub(super) fn netlink(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    if case.shape().families.contains(&"AF_NETLINK") {
        return None;
    }
    let how = match preset_of(case.program()) {
        Some(preset) if preset.allow.contains(&"netlink") => case.runtime(preset)?,
        _ => case.allow("netlink")?,
    };
    denied(
        Certain,
        "netlink sockets, with which a program lists the network interfaces",
        "RestrictAddressFamilies",
        &how,
    )
}

pub(super) fn packet_sockets(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    denied(
        Certain,
        "packet sockets",
        "RestrictAddressFamilies",
        &case.allow("raw-net")?,
    )
}

/// Python does not find a variable of the environment. Names of variables are upper case by convention (environ(7)).
pub(super) fn missing_variable(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let name = known.line.split('\'').nth(1)?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let etc = case.app.layout.env_file();
    not_the_sandbox(
        Certain,
        &format!(
            "its environment lacks `{name}`: set it in `env` in `{}`, or in `{etc}`; a secret comes from `[[secret]]`",
            case.table()
        ),
    )
}

/// How to give a server its address, in words for its shape.
fn serve(case: &Case<'_>) -> String {
    let service = case.service;
    let table = case.table();
    if service.listen.is_empty() {
        let address = "`listen = [\"127.0.0.1:PORT\"]`";
        return format!(
            "in `{table}`, write the server's address as {address}, and `socket = \"proxy\"` if it opens the address itself"
        );
    }
    let cost = case.cost(|it| it.socket = Socket::Proxy);
    format!(
        "systemd has opened `listen` and passes it as a descriptor (sd_listen_fds(3)); for a server that opens its \
         address itself, in `{table}` write `socket = \"proxy\"`{cost}"
    )
}

/// How to let a client reach what it connects to.
fn reach(case: &Case<'_>, known: &KnownLine<'_>) -> Option<String> {
    let loopback = case.allow("loopback");
    if known.says(LOCAL) {
        return loopback;
    }
    let outbound = case.allow("outbound")?;
    let local = loopback
        .map(|how| format!("{ALTERNATIVE}for programs on this host, {how};"))
        .unwrap_or_default();
    Some(format!(
        "{local}{ALTERNATIVE}for known hosts, list their addresses in `sandbox.outbound`;{ALTERNATIVE}for every host, \
         {outbound}"
    ))
}

pub(super) fn address_family(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if case.has_ip_sockets() {
        return None;
    }
    let what = "sockets for IP";
    let directive = "RestrictAddressFamilies";
    let connects = known.says(CONNECTS);
    let serves = known.says(SERVES) || case.takes_over() && known.run_says(SERVES);
    match (serves, connects) {
        (true, false) => denied(Certain, what, directive, &serve(case)),
        (false, true) => denied(Certain, what, directive, &reach(case, known)?),
        _ => {
            let how = format!(
                "{ALTERNATIVE}a server: {};{ALTERNATIVE}a client: {}",
                serve(case),
                reach(case, known)?.trim_start_matches(ALTERNATIVE)
            );
            denied(Certain, what, directive, &how)
        }
    }
}

/// Ports below 1024 need a capability (ip(7)).
pub(super) fn low_port(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let is_low = |port: u16| (1..1024).contains(&port);
    let declared = case
        .service
        .listen
        .iter()
        .filter_map(Listen::port)
        .any(is_low);
    let numbers = known
        .line
        .split(|c: char| !c.is_ascii_digit() && c != ':' && c != ' ');
    let mut numbers = numbers.flat_map(|word| word.split([':', ' ']).skip(1));
    let named = numbers.any(|word| word.parse().is_ok_and(is_low));
    let is_file = known
        .paths()
        .iter()
        .any(|path| case.own_directory(path).is_some() || case.is_in_release(path));
    if is_file || !(declared || named) || case.service.sandbox.allows("low-port") {
        return None;
    }
    let low = case.allow("low-port")?;
    let how = format!(
        "let systemd open it, with its address in `listen` and `socket = \"activate\"` or `\"proxy\"`; or {low}"
    );
    denied(Certain, "a port below 1024", "CapabilityBoundingSet", &how)
}

pub(super) fn unlisted_port(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    let ports = case.shape().ports?;
    let any = case.allow("bind-any")?;
    let listed: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let listed = match listed.is_empty() {
        true => "every port".to_owned(),
        false => format!("every port but {}", listed.join(", ")),
    };
    denied(
        Likely,
        &listed,
        "SocketBindDeny",
        &format!("add the port to `listen`; or {any}"),
    )
}

/// The packet filter of a control group refuses a packet with EPERM.
pub(super) fn address_filter(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let network = case.shape().network;
    let is_filtered = matches!(network, Network::Listed | Network::Loopback | Network::NoIp);
    if !is_filtered || !known.says(SENDS) || known.says(&["connect to bus"]) {
        return None;
    }
    let cost = case.cost(|it| {
        it.sandbox.allow.insert("outbound");
    });
    let how = format!(
        "in `{}`, add its address to `sandbox.outbound`, or write `sandbox.allow = [\"outbound\"]` for every address{cost}",
        case.table()
    );
    denied(Likely, "packets to this address", "IPAddressDeny", &how)
}

/// A network namespace without an interface has no route.
pub(super) fn no_network(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if case.has_host_network() {
        return None;
    }
    if case.service.socket == Socket::Proxy && case.service.has_socket_unit() {
        return denied(
            Certain,
            "every other host: a server behind a proxy has only its own loopback network",
            "PrivateNetwork",
            "write `socket = \"activate\"` if it can take over a socket, or `socket = \"direct\"`, and then `sandbox.outbound`",
        );
    }
    denied(Certain, "a network", "PrivateNetwork", &reach(case, known)?)
}

/// A name is looked up by asking a server.
pub(super) fn name_resolution(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    match case.shape().network {
        Network::Host => None,
        Network::Listed | Network::Loopback => {
            let how = format!(
                "in `{}`, add the address of the host's resolver, which is in /etc/resolv.conf, to `sandbox.outbound`",
                case.table()
            );
            denied(Likely, "the server that knows names", "IPAddressDeny", &how)
        }
        _ => no_network(case, known),
    }
}

pub(super) fn system_bus(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    denied(
        Certain,
        "the system bus",
        "BindReadOnlyPaths",
        &case.allow("system-bus")?,
    )
}

/// V8 ends with a trap and with words about memory when it may not make memory executable.
pub(super) fn javascript(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let program = preset_of(case.program());
    let is_node = program.is_some_and(|preset| preset.name == "node")
        || known.run_says(&["node:internal", "javascript", "v8::"]);
    if !is_node || case.service.sandbox.allows("jit") {
        return None;
    }
    let how = case.runtime(preset("node")?)?;
    denied(
        Certain,
        "memory that is writable and executable, so that its JavaScript engine ended itself; it does not lack memory",
        "MemoryDenyWriteExecute",
        &how,
    )
}

pub(super) fn jit(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if case.service.sandbox.allows("jit") {
        return None;
    }
    let runtime = preset_of(case.program()).filter(|preset| preset.allow.contains(&"jit"));
    let runtime = runtime.or_else(|| {
        let engines = [
            ("java", "os::commit_memory"),
            ("java", "openjdk"),
            ("dotnet", "coreclr"),
            ("luajit", "mcode"),
        ];
        let mut engines = engines.into_iter();
        let (name, _) = engines.find(|(_, word)| known.run_says(&[word]))?;
        preset(name)
    });
    let how = match runtime {
        Some(preset) => case.runtime(preset)?,
        None => case.allow("jit")?,
    };
    denied(
        Certain,
        "memory that is writable and executable",
        "MemoryDenyWriteExecute",
        &how,
    )
}

pub(super) fn proc_files(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let is_denied = known.says(&[
        "no such file",
        "enoent",
        "not found",
        "errno 2",
        "os error 2",
        "cannot open",
        "can't open",
        "failed",
        "could not",
        "couldn't",
        "unable",
        "error",
    ]);
    if !is_denied || case.service.sandbox.allows("host-processes") {
        return None;
    }
    let how = match preset_of(case.program()) {
        Some(preset) if preset.allow.contains(&"proc-files") => case.runtime(preset)?,
        _ => case.allow("proc-files")?,
    };
    denied(Certain, "the kernel's files in /proc", "ProcSubset", &how)
}

/// A program in a directory that the service can write.
pub(super) fn executable_in_state(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if case.service.sandbox.allows("exec-writable") {
        return None;
    }
    let mut paths = known.paths().into_iter();
    let path =
        paths.find(|path| is_writable(case, path) && (case.look)(path) == AtPath::Program)?;
    let how = format!(
        "put `{path}` into the release; or {}",
        case.allow("exec-writable")?
    );
    denied(
        Certain,
        "executing files in a directory that it can write",
        "NoExecPaths",
        &how,
    )
}

/// A library that a program unpacks and loads.
pub(super) fn library_in_state(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let mut paths = known.paths().into_iter();
    let path = paths.find(|path| is_writable(case, path))?;
    let how = format!(
        "put `{path}` into the release; or {}",
        case.allow("exec-writable")?
    );
    denied(
        Certain,
        "loading a library from a directory that it can write",
        "NoExecPaths",
        &how,
    )
}

fn is_writable(case: &Case<'_>, path: &str) -> bool {
    let mut shared = case.service.sandbox.read_write.iter();
    let temporary = ["/tmp", "/var/tmp", "/dev/shm"]
        .iter()
        .any(|dir| is_at_or_below(path, dir));
    temporary
        || case.own_directory(path).is_some()
        || shared.any(|dir| is_at_or_below(path, dir.as_str()))
}

pub(super) fn read_only(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let layout = &case.app.layout;
    let state = layout.state();
    let directive = "ProtectSystem";
    let paths = known.paths();
    if let Some(path) = paths.iter().find(|path| case.is_in_release(path)) {
        let how = format!(
            "a release never changes; let the program write below `{state}` (`{{state}}` in the manifest) instead of `{path}`"
        );
        return denied(Certain, "writing into the release", directive, &how);
    }
    let Some(path) = paths.first() else {
        let directory = case.service.working_directory.as_str();
        let what = match case.is_in_release(directory) {
            true => "writing into the release",
            false => "writing outside its own directories",
        };
        let how = format!(
            "let the program write below `{state}` (`{{state}}` in the manifest); a relative path is one in `{directory}`"
        );
        return denied(Likely, what, directive, &how);
    };
    if is_writable(case, path) {
        return not_the_sandbox(
            Likely,
            &format!(
                "the file system of `{path}` is read-only on this host: see `findmnt -T {path}`"
            ),
        );
    }
    let below = format!("let the program write below `{state}` (`{{state}}` in the manifest)");
    let dir = path.rsplit_once('/').map_or(*path, |(dir, _)| dir);
    let how = match [*path, dir]
        .into_iter()
        .find(|one| case.access(one) == Access::Write)
    {
        Some(writable) => format!("{below}; or {}", case.list("read-write", writable)),
        None => below,
    };
    denied(Likely, &format!("writing to `{path}`"), directive, &how)
}

/// A file that exists on the host, and that the sandbox does not show.
pub(super) fn hidden_path(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let paths = known.paths();
    if let Some(path) = paths.iter().find(|path| case.hides(path)) {
        return hidden(case, path);
    }
    let directory = paths.iter().find_map(|path| hidden_directory(case, path))?;
    let how = format!("to write there, {}", case.list("read-write", directory));
    let what = format!("the directory `{directory}`, which exists on this host");
    denied(Likely, &what, "RootDirectory", &how)
}

/// The directory around a path that does not exist, if the sandbox hides the directory. Directories of the system,
/// such as `/srv`, exist on every host and say nothing.
fn hidden_directory<'a>(case: &Case<'_>, path: &'a str) -> Option<&'a str> {
    let (directory, _) = path.rsplit_once('/')?;
    let is_deep = directory.matches('/').count() > 1;
    (is_deep && case.access(directory) == Access::Write).then_some(directory)
}

/// A path that the sandbox hides. The line that names it is the program's, so that this is never certain, and only a
/// path that the modes of the host let every user read is suggested.
fn hidden(case: &Case<'_>, path: &str) -> Judgement {
    let state = case.app.layout.state();
    let what = format!("`{path}`, which exists on this host");
    let is_below = |dirs: &[&str]| dirs.iter().any(|dir| is_at_or_below(path, dir));
    let own_copy = format!("put what it needs into the release or below `{state}`");
    // systemd mounts these anew for each service, so that they are not those of the host.
    if is_below(&["/proc", "/sys"]) {
        return None;
    }
    if is_below(&["/dev"]) {
        let how = format!(
            "if you trust the service with this device, list it in `sandbox.devices` in `{}`, and its group in `groups`",
            case.table()
        );
        return denied(Likely, &what, "PrivateDevices", &how);
    }
    if is_below(&["/tmp", "/var/tmp"]) {
        let how = format!("it has a directory of its own there; {own_copy}");
        return denied(Likely, &what, "PrivateTmp", &how);
    }
    if is_below(&["/run/dbus"]) {
        return denied(Likely, &what, "RootDirectory", &case.allow("system-bus")?);
    }
    let is_readable = case.access(path) != Access::None;
    if is_below(&["/home", "/root"]) {
        let home = case
            .allow("home")
            .filter(|_| is_readable && is_below(&["/home"]));
        let how = match home {
            Some(home) => format!("{own_copy}; or {home}, which shows it every home directory"),
            None => own_copy,
        };
        return denied(Likely, &what, "ProtectHome", &how);
    }
    let mut presets = PRESETS.iter();
    let runtime = presets.find(|preset| is_below(preset.files));
    if let Some(how) = runtime.and_then(|preset| case.runtime(preset)) {
        return denied(Likely, &what, "RootDirectory", &how);
    }
    let how = match is_readable {
        true => case.list("read-only", path),
        false => format!("the modes on this host keep it from the service, too: {own_copy}"),
    };
    denied(Likely, &what, "RootDirectory", &how)
}

/// The command that lists the system calls that a service is denied.
fn trace(case: &Case<'_>) -> CommandLine {
    let (app, service) = (case.app.name.as_str(), case.service.name.as_str());
    CommandLine::sudo_robotctl(["--app", app, "doctor", "--trace", service])
}

pub(super) fn not_permitted(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    let how = format!("`{}` names the system calls that it denies", trace(case));
    denied(Possible, "this", "SystemCallFilter", &how)
}

pub(super) fn system_call_signal(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    if let Some(javascript) = javascript(case, known) {
        return Some(javascript);
    }
    if !known.line.is_empty() {
        let call = known.line;
        let allowed = exception_for(call).and_then(|name| case.allow(name));
        let how = allowed.unwrap_or_else(|| {
            format!(
                "if the program cannot do without it, in `{}` write `sandbox.directives.SystemCallFilter = \"{call}\"`",
                case.table()
            )
        });
        let what = format!("the system call `{call}` (SIGSYS)");
        return denied(Certain, &what, "SystemCallFilter", &how);
    }
    let how = format!(
        "`{}` names it, and /usr/share/doc/robot/reference/exceptions.md lists what allows it",
        trace(case)
    );
    denied(Certain, "a system call (SIGSYS)", "SystemCallFilter", &how)
}

pub(super) fn tasks(case: &Case<'_>, _: &KnownLine<'_>) -> Judgement {
    let tasks = case
        .service
        .limits
        .lines()
        .into_iter()
        .find(|(name, _)| *name == "TasksMax");
    let now = tasks.map(|(_, value)| value).unwrap_or_default();
    let what = format!("it may have no more than {now} processes and threads (`TasksMax=`)");
    limit(case, "limits.tasks-max = 8192", &what)
}

pub(super) fn mount(case: &Case<'_>, known: &KnownLine<'_>) -> Judgement {
    let path = known
        .line
        .split("namespacing: ")
        .nth(1)?
        .split(": ")
        .next()?;
    // Where systemd mounts the root of a unit, and the empty root of a service.
    let path = ["/run/systemd/unit-root", "/run/robotctl/root"]
        .iter()
        .fold(path, |path, root| path.strip_prefix(root).unwrap_or(path));
    path.starts_with('/').then_some(())?;
    let sandbox = &case.service.sandbox;
    let is_listed = sandbox.read_write.iter().any(|one| one.as_str() == path)
        || sandbox
            .read_only
            .iter()
            .any(|(from, to)| [from.as_str(), to.as_str()].contains(&path));
    let how = match is_listed {
        true => format!("make it, or remove it from `sandbox` in `{}`", case.table()),
        false => "make it".to_owned(),
    };
    not_the_sandbox(
        Certain,
        &format!("systemd could not mount `{path}`, which does not exist on this host: {how}"),
    )
}
