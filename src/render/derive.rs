//! Services that are derived from a service: its proxy, its pre-check instance and the job that runs a
//! check's command.
//!
//! Each function names every field of [`Service`] twice: where it reads the service, and where it
//! builds the derived one. So a new field is a compile error until each function handles it.

use crate::app::names::{AbsPath, Name, Span, Text};
use crate::app::{
    Check, DEFAULT_STOP_SECONDS, Limits, Listen, PRE_CHECK_SUFFIX, PROXY_SUFFIX, Probe, Restart,
    Sandbox, Service, Socket, Type, Upgrade,
};
use anyhow::{Result, anyhow};

/// How long a pre-check instance may take to stop, unless the manifest sets its own time. It is short,
/// because no client waits for a response. Gunicorn takes half a minute if it is stopped while its
/// workers start.
const PRE_CHECK_STOP_SECONDS: u64 = 3;
/// How long the command of a check may take to stop.
const CHECK_STOP_SECONDS: u64 = 2;

/// The proxy: `robotctl relay`, which passes bytes from the socket to a service in a network
/// namespace. It gets no permission, variable or secret of the service.
///
/// # Errors
/// When the service has no TCP address.
#[expect(
    clippy::too_many_lines,
    reason = "it lists every field, so that a new one must be decided here"
)]
pub(crate) fn proxy(service: &Service) -> Result<Service> {
    let Service {
        name,
        description,
        exec: _,
        exec_start_pre: _,
        exec_reload: _,
        kind: _,
        listen,
        listen_names: _,
        socket,
        upgrade: _,
        // The proxy requires the service, which has these.
        after: _,
        requires: _,
        wants: _,
        conflicts: _,
        enable,
        user,
        group: _,
        groups: _,
        working_directory: _,
        restart,
        conditions,
        timeout_start,
        timeout_stop,
        drain,
        watchdog: _,
        limits: _,
        env: _,
        required_env: _,
        secrets: _,
        secret_variables: _,
        files: _,
        pre_check: _,
        checks: _,
        timer,
        sandbox: _,
    } = service.clone();
    let address = listen.iter().find_map(Listen::local_address);
    let address = address.ok_or_else(|| anyhow!("service `{name}` has no TCP address to proxy"))?;
    let text = |text: &str| Text::parse(text).map_err(|rule| anyhow!("`{text}`: {rule}"));
    Ok(Service {
        name: name.with_suffix(PROXY_SUFFIX),
        description: description.followed_by(" (proxy)"),
        exec: vec![
            text("/usr/bin/robotctl")?,
            text("relay")?,
            text(&address.to_string())?,
        ],
        exec_start_pre: Vec::new(),
        exec_reload: Vec::new(),
        kind: Type::Notify,
        // It gets its listener from the socket unit, and the service's address as an argument.
        listen: Vec::new(),
        listen_names: Vec::new(),
        socket,
        upgrade: Upgrade::Restart,
        after: Vec::new(),
        requires: Vec::new(),
        wants: Vec::new(),
        conflicts: Vec::new(),
        enable,
        group: user.clone(),
        user,
        groups: Vec::new(),
        working_directory: AbsPath::parse("/").map_err(|rule| anyhow!("`/`: {rule}"))?,
        restart,
        // Without its server, it would accept connections and end them.
        conditions,
        timeout_start,
        timeout_stop,
        drain,
        watchdog: None,
        limits: Limits::default(),
        env: Vec::new(),
        required_env: Vec::new(),
        secrets: Vec::new(),
        secret_variables: Vec::new(),
        files: None,
        pre_check: false,
        checks: Vec::new(),
        timer,
        sandbox: Sandbox::default(),
    })
}

/// The pre-check instance: the service under another name and at other addresses, which touches no
/// live unit. `private` gives the address to use in place of one that systemd opens.
///
/// # Errors
/// When `private` fails.
#[expect(
    clippy::too_many_lines,
    reason = "it lists every field, so that a new one must be decided here"
)]
pub fn pre_check_instance(
    service: &Service,
    private: impl Fn(usize, &Listen) -> Result<Listen>,
) -> Result<Service> {
    let Service {
        name,
        description,
        exec,
        exec_start_pre,
        exec_reload,
        kind,
        listen: live,
        listen_names,
        socket,
        upgrade,
        after,
        requires: _,
        wants: _,
        conflicts: _,
        enable: _,
        user,
        group,
        groups,
        working_directory,
        restart: _,
        conditions,
        timeout_start,
        timeout_stop,
        drain,
        watchdog,
        limits,
        env,
        required_env: _,
        secrets,
        secret_variables,
        files,
        pre_check,
        checks,
        timer: _,
        sandbox,
    } = service.clone();
    let (socket, listen) = match socket {
        Socket::Activate => {
            let listen = live.iter().enumerate();
            let listen = listen.map(|(index, listen)| private(index, listen));
            (Socket::Activate, listen.collect::<Result<_>>()?)
        }
        // It opens its addresses itself, in a network namespace of its own.
        Socket::Proxy | Socket::Direct => (Socket::Direct, live.clone()),
    };
    Ok(Service {
        name: name.with_suffix(PRE_CHECK_SUFFIX),
        description,
        exec,
        exec_start_pre,
        exec_reload,
        kind,
        checks: pre_checks(checks, &live, &listen),
        listen,
        listen_names,
        socket,
        upgrade,
        after,
        requires: Vec::new(),
        wants: Vec::new(),
        conflicts: Vec::new(),
        enable: false,
        user,
        group,
        groups,
        working_directory,
        restart: Restart::never(),
        conditions,
        timeout_start,
        timeout_stop: pre_check_stop(timeout_stop),
        drain,
        watchdog,
        limits,
        env,
        required_env: Vec::new(),
        secrets,
        secret_variables,
        files,
        pre_check,
        timer: None,
        sandbox,
    })
}

/// How long a pre-check instance may take to stop: as the manifest says, or a short time.
fn pre_check_stop(of_service: Span) -> Span {
    if of_service == Span::seconds(DEFAULT_STOP_SECONDS) {
        Span::seconds(PRE_CHECK_STOP_SECONDS)
    } else {
        of_service
    }
}

/// The checks of a pre-check instance: those about the live addresses of the service, at the
/// instance's, and those that need no address.
fn pre_checks(checks: Vec<Check>, live: &[Listen], listen: &[Listen]) -> Vec<Check> {
    let is_live = |address| {
        let mut live = live.iter().filter_map(Listen::local_address);
        live.any(|one| one == address)
    };
    let moved = |Check { probe, within }| {
        let probe = match probe {
            Probe::Http {
                address,
                path,
                status,
                contains,
                headers,
                json,
            } if address.is_none_or(is_live) => Probe::Http {
                address: None,
                path,
                status,
                contains,
                headers,
                json,
            },
            Probe::Tcp(address) if is_live(address) => {
                let first = listen.iter().find_map(Listen::local_address);
                Probe::Tcp(first.unwrap_or(address))
            }
            Probe::Settle(span) => Probe::Settle(span),
            Probe::Http { .. }
            | Probe::Tcp(_)
            | Probe::Unix(_)
            | Probe::Command(_)
            | Probe::Job => return None,
        };
        Some(Check { probe, within })
    };
    checks.into_iter().filter_map(moved).collect()
}

/// The job that runs the command of a check: it has the sandbox of the service, and none of its
/// sockets.
pub fn check_command(service: &Service, name: Name, argv: &[Text], within: &Span) -> Service {
    let Service {
        name: _,
        description,
        exec: _,
        exec_start_pre: _,
        exec_reload: _,
        kind: _,
        listen,
        listen_names,
        socket,
        upgrade: _,
        after: _,
        requires: _,
        wants: _,
        conflicts: _,
        enable: _,
        user,
        group,
        groups,
        working_directory,
        restart: _,
        conditions: _,
        timeout_start: _,
        timeout_stop: _,
        drain,
        watchdog: _,
        limits,
        env,
        required_env: _,
        secrets,
        secret_variables,
        files: _,
        pre_check: _,
        checks: _,
        timer: _,
        sandbox,
    } = service.clone();
    // The addresses that a service opens itself decide its network, and that of the command.
    let opens = socket == Socket::Direct;
    Service {
        name,
        description: description.followed_by(" (check)"),
        exec: argv.to_vec(),
        exec_start_pre: Vec::new(),
        exec_reload: Vec::new(),
        kind: Type::Oneshot,
        listen: if opens { listen } else { Vec::new() },
        listen_names: if opens { listen_names } else { Vec::new() },
        socket,
        upgrade: Upgrade::Restart,
        after: Vec::new(),
        requires: Vec::new(),
        wants: Vec::new(),
        conflicts: Vec::new(),
        enable: false,
        user,
        group,
        groups,
        working_directory,
        restart: Restart::never(),
        // The service runs, whatever they say now.
        conditions: Vec::new(),
        // It ends by itself when `robotctl` no longer waits for it.
        timeout_start: within.clone(),
        timeout_stop: Span::seconds(CHECK_STOP_SECONDS),
        drain,
        watchdog: None,
        limits,
        env,
        required_env: Vec::new(),
        secrets,
        secret_variables,
        files: None,
        pre_check: false,
        checks: Vec::new(),
        timer: None,
        sandbox,
    }
}

#[cfg(test)]
mod tests {
    use super::{check_command, pre_check_instance, proxy};
    use crate::app::names::{Name, Span, Text};
    use crate::app::{App, Listen, Probe, Service, Socket};
    use crate::manifest::parse;

    fn service(rest: &str) -> Service {
        let text = format!(
            "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\nexec = [\"/bin/w\"]\n\
             env = {{ A = \"1\" }}\ngroup = \"h\"\ngroups = [\"g\"]\n\
             condition.path-exists = \"/x\"\nsandbox = {{ allow = [\"jit\"] }}\n{rest}"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
        app.services.into_iter().next().unwrap()
    }

    #[test]
    fn a_proxy_gets_nothing_that_the_service_is_given() {
        let service = service("listen = [\"127.0.0.1:80\"]\nsocket = \"proxy\"\n");
        let proxy = proxy(&service).unwrap();
        assert_eq!(proxy.name.as_str(), "w-proxy");
        assert!(proxy.env.is_empty() && proxy.groups.is_empty() && proxy.listen.is_empty());
        assert!(proxy.sandbox.allow.is_empty());
        assert_eq!(proxy.group.as_str(), "a");
        // It does not accept connections for a server that is not started.
        assert_eq!(proxy.conditions, service.conditions);
        let exec: Vec<&str> = proxy.exec.iter().map(Text::as_str).collect();
        assert_eq!(exec, ["/usr/bin/robotctl", "relay", "127.0.0.1:80"]);
        assert!(proxy.enable);
    }

    #[test]
    fn a_pre_check_instance_answers_at_another_address() {
        let checks = "check = [{ http = \"/\" }, { tcp = \"127.0.0.1:80\" }, \
            { tcp = \"127.0.0.1:99\" }, { settle = \"1s\" }, { command = [\"/bin/c\"] }]\n";
        let service = service(&format!("listen = [\"127.0.0.1:80\"]\n{checks}"));
        let private = Listen::parse("127.0.0.1:9000").unwrap();
        let copy = pre_check_instance(&service, |_, _| Ok(private.clone())).unwrap();
        assert_eq!(copy.name.as_str(), "w-precheck");
        assert_eq!(copy.listen, std::slice::from_ref(&private));
        assert_eq!(copy.sandbox.allow, service.sandbox.allow);
        assert_eq!(copy.group.as_str(), "h");
        assert_eq!(copy.conditions, service.conditions);
        assert_eq!(copy.timeout_stop, Span::seconds(3));
        let probes: Vec<&Probe> = copy.checks.iter().map(|check| &check.probe).collect();
        let [
            Probe::Http { address: None, .. },
            Probe::Tcp(tcp),
            Probe::Settle(_),
        ] = *probes
        else {
            panic!("{probes:?}");
        };
        assert_eq!(Some(*tcp), private.local_address());
    }

    #[test]
    fn a_pre_check_instance_of_a_proxied_service_opens_its_address_itself() {
        let service = service("listen = [\"127.0.0.1:80\"]\nsocket = \"proxy\"\n");
        let copy = pre_check_instance(&service, |_, _| panic!("not asked")).unwrap();
        assert_eq!(
            (copy.socket, &copy.listen),
            (Socket::Direct, &service.listen)
        );
    }

    #[test]
    fn a_check_command_has_the_sandbox_and_no_socket_of_systemd() {
        let name = Name::parse("check1-hook").unwrap();
        let argv = [Text::parse("/bin/c").unwrap()];
        let within = Span::seconds(5);
        let activated = service("listen = [\"127.0.0.1:80\"]\n");
        let job = check_command(&activated, name.clone(), &argv, &within);
        assert!(job.listen.is_empty() && !job.enable);
        assert_eq!(job.sandbox.allow, activated.sandbox.allow);
        assert_eq!(job.group, activated.group);
        assert!(job.conditions.is_empty());
        assert_eq!((&job.exec[..], &job.timeout_start), (&argv[..], &within));
        let direct = service("listen = [\"127.0.0.1:80\"]\nsocket = \"direct\"\n");
        assert_eq!(
            check_command(&direct, name, &argv, &within).listen,
            direct.listen
        );
    }
}
