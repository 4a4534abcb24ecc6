//! The command line: parse, call one use case, print its outcome, give the exit code.

mod check;
mod completion;
mod deploy;
mod doctor;
mod doctor_actions;
mod env;
mod exit;
mod generate;
mod history;
mod internal;
mod logs;
mod other_words;
mod output;
mod package;
mod probe_sandbox;
mod prune;
mod read_archive;
mod recover;
mod reference;
mod release_origin;
mod releases;
mod remove;
mod rollback;
mod run;
mod score;
mod secret;
mod services;
mod status;
mod usage;
mod view;
mod with_secrets;

pub use exit::{EXIT_CODES, Exit};
pub use output::Format;

use crate::error::Error;
use crate::ops::{Context, Options};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use output::{Changes, Output};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The heading of the options that every command has.
const GLOBAL_OPTIONS: &str = "Global options";

/// Deploy services on plain Debian: hardened units, atomic releases, rollback
///
/// One manifest, robot.toml, describes the services of an app. From it,
/// robotctl generates hardened systemd units and deploys releases, each with
/// one atomic switch. A release that fails is rolled back automatically.
///
/// `deploy`, `prune` and `remove` show what they would do, and act with
/// `--apply`. `rollback`, `restart`, `start`, `stop`, `secret`, `env`
/// and `recover` act at once. Commands that change the
/// host need root.
#[derive(Debug, Parser)]
#[command(
    name = "robotctl",
    version,
    max_term_width = 80,
    subcommand_required = true
)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// Work on this app [default: that of ./robot.toml, or the only one
    /// deployed; `deploy` needs a manifest]
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL_OPTIONS,
        value_name = "NAME",
        add = completion::apps()
    )]
    app: Option<String>,
    /// Read this manifest [default: the robot.toml inside SOURCE of `deploy`,
    /// or ./robot.toml]
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Apply this environment of the manifest; the app is then called
    /// APP-NAME
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "NAME")]
    environment: Option<String>,
    /// Work on the files below this directory, such as an image, instead of
    /// this host
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Write data in this format
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL_OPTIONS,
        value_enum,
        default_value = "text"
    )]
    format: Format,
    /// Print errors and warnings only
    #[arg(short, long, global = true, help_heading = GLOBAL_OPTIONS)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Render units, timers, drop-ins, tmpfiles.d and sysusers.d
    ///
    /// Print every file that the manifest produces. Lints, which find settings
    /// that are allowed but probably wrong, go to standard error.
    ///
    /// Needs no root, and changes nothing on the host.
    Generate(generate::Args),
    /// Show what a deploy would do; with --apply, do it
    ///
    /// Without `--apply`, print the plan: the content of the release, the files
    /// on the host, the units, warnings. Whatever `--apply` would refuse, the
    /// plan refuses with the same message and exit code.
    ///
    /// With `--apply`, stage the release, check it in its sandbox, switch to it
    /// and check it again. A release that fails after the switch is rolled back
    /// automatically (exit code 3).
    ///
    /// The manifest is that of `--manifest`, or the robot.toml inside SOURCE, or
    /// ./robot.toml. `--app` must agree with it. The app that the package
    /// contains is deployed by its name, `--app robotctl-status`, or if nothing
    /// else is deployed and there is neither SOURCE nor a manifest.
    Deploy(deploy::Args),
    /// Restore the previous release, or a named one
    ///
    /// Acts at once. Code, units, timers and the environment of the manifest
    /// are restored together. State, secrets and /etc/APP/env stay as they are.
    ///
    /// Without RELEASE, restore the release that was live before the live one,
    /// and skip releases that failed. Repeat the command to go back one more
    /// release.
    Rollback(rollback::Args),
    /// Make a Debian package of the app
    ///
    /// Stage and build the release as `deploy` does, and write
    /// NAME_VERSION_ARCHITECTURE.deb. Where it is installed, the package deploys
    /// its release: with checks, and back to the previous release if it is not
    /// healthy.
    ///
    /// Needs no root, and changes nothing on the host. The same source gives the
    /// same bytes.
    Package(package::Args),
    /// Restart services of the live release, without losing a request
    ///
    /// Acts at once, on the whole app or on the services that you name. A
    /// service that can restarts by overlap, after a pre-check; the socket of
    /// any other holds requests meanwhile. Waits until the services are healthy.
    ///
    /// A service that you have stopped stays down, unless you name it.
    Restart(services::Args),
    /// Start services, and check them; run a job now
    ///
    /// Acts at once. Without SERVICE, start what is enabled and what you have
    /// stopped. A named job runs, and the command ends with it. The exit code
    /// is 1 if a service does not start or fails a check; what is up stays up.
    Start(services::Args),
    /// Stop services, and wait until nothing of them is left
    ///
    /// Acts at once. Also stops the sockets and timers that would start the
    /// services again, processes of a previous release that still drain, and
    /// the services that require a stopped one. They stay down until
    /// `robotctl start` or the next boot; a deploy does not start them.
    Stop(services::Args),
    /// Complete or undo an interrupted change
    ///
    /// Acts at once, on every app unless `--app` names one. A change is
    /// interrupted if robotctl was killed or the host lost power.
    ///
    /// The result is the old release or the new one, never a mixture. The
    /// result is the new release only if it had passed its checks. The next
    /// command that changes the app recovers it too, and so does the next boot.
    Recover(recover::Args),
    /// Show what is live and what every process runs
    ///
    /// For each app: the live release, and each unit with its state and the
    /// release that its process really runs. Works for any user.
    Status,
    /// List the releases on this host
    ///
    /// For each release: its id, its result, and when it was staged. Works for
    /// any user.
    Releases,
    /// Show what happened, oldest first
    ///
    /// Each line is an event of a deploy, a rollback or another change.
    /// robotctl keeps the last thousand of each app. Works for any user.
    History,
    /// Show what the services log, in one view
    ///
    /// The entries of all services of the app in the order of time, with what
    /// still drains and what systemd says about the units. Lines of JSON are
    /// shown as text. Works for members of the group systemd-journal.
    ///
    /// With `--trace`, the lines of one request in every service.
    Logs(logs::Args),
    /// Run a command as a service runs
    ///
    /// The command has the user, the sandbox, the environment, the secrets and
    /// the release of the service. It has your terminal, or your standard input
    /// and output, and no time limit. Its exit code is passed on, 128 and the
    /// number of a signal if one ended it; 125 is that of robotctl itself.
    Run(run::Args),
    /// Run the checks of the live release
    ///
    /// Run every check that the manifest of the live release lists, and print
    /// each result. The exit code is 1 if one fails.
    Check,
    /// Score how exposed each service is, and what its exceptions cost
    ///
    /// The score is that of systemd-analyze(1) `security`, from 0.0 to 10.0;
    /// lower is better. It is computed from the manifest, so neither root nor
    /// systemd is needed. As root, it also starts a unit that exists for a moment
    /// and tries whether systemd filters packets and devices.
    Score(score::Args),
    /// Find what is wrong, and say what to do; with --fix --apply, do what is safe
    ///
    /// Check the host and each app on it. Each finding says what to do. Without
    /// `--fix --apply`, `doctor` changes nothing. As root, it starts a unit that
    /// exists for a moment and tries whether systemd filters packets and devices.
    ///
    /// With `--fix`, also print the steps that are safe: they lose no data, start
    /// nothing that you stopped, and interrupt no service. `--apply` does them and
    /// runs the checks again. What is not safe stays a command to type.
    ///
    /// With `--probe`, also try what the sandbox of each service prevents:
    /// write to /usr, execute a file that it wrote, connect, create a
    /// namespace, and more. The attempts do no harm where the sandbox does not
    /// hold.
    ///
    /// Works for any user, but for `--fix`, `--probe` and `--trace`; checks that
    /// need root are then skipped. The exit code is 1 if there is an error or a
    /// warning, or as `--fail-on` says. Skipped checks never change it.
    Doctor(doctor::Args),
    /// Show which old releases can be removed; with --apply, remove them
    ///
    /// Keeps the live release, the previous one, pinned ones, those that a
    /// process still uses, and the newest good ones up to `release.keep`.
    Prune(prune::Args),
    /// Show what removing an app would do; with --apply, do it
    ///
    /// Stop the services and remove units, releases and everything else that
    /// was generated. State in /var/lib/APP and settings in /etc/APP stay,
    /// unless you pass `--purge`. Accounts always stay.
    Remove(remove::Args),
    /// Write, list, rotate and restore the values of secrets
    ///
    /// A value comes from standard input, a prompt, a file or another app, and
    /// never from an argument. Acts at once: it writes
    /// /etc/APP/credentials/NAME and says which services must restart. With
    /// `--apply`, it restarts them too. `list` shows fingerprints, which are the
    /// same on two hosts if the values are the same.
    ///
    /// robotctl keeps the previous value, and `restore` returns to it. `rotate`
    /// generates a value if the manifest says `generate`.
    Secret(secret::Args),
    /// List, set and remove variables in /etc/APP/env
    ///
    /// Acts at once: it changes the file in one step, keeps comments and every
    /// other line, and says which services must restart. With `--apply`, it
    /// restarts them too. For a value that is secret, use `robotctl secret`:
    /// arguments are in the history of your shell.
    Env(env::Args),
    /// Set variables from the credentials of this process, and become a program
    #[command(hide = true)]
    WithSecrets(with_secrets::Args),
    /// Wait until a server accepts connections at an address
    #[command(hide = true)]
    Await(internal::AwaitArgs),
    /// Watch a release after its deploy, and roll back when it fails
    #[command(hide = true)]
    Soak(internal::SoakArgs),
    /// Clean up when the processes of a previous release have ended
    #[command(hide = true)]
    Drained(internal::DrainedArgs),
    /// Try what a sandbox prevents, for `doctor --probe`
    #[command(hide = true)]
    ProbeSandbox(probe_sandbox::Args),
    /// Pass connections on to a server that cannot take over a socket
    #[command(hide = true)]
    Relay(internal::RelayArgs),
    /// Write the members of the archive at standard input, without any right
    #[command(hide = true)]
    ReadArchive(read_archive::Args),
    /// Serve the bundled app's status page
    #[command(hide = true)]
    Page(internal::PageArgs),
    /// Write man pages, completions and the reference documents
    #[command(hide = true)]
    Reference(reference::Args),
}

impl Command {
    /// Whether the maintainer script of a package gives it.
    fn is_by_package(&self) -> bool {
        match self {
            Self::Deploy(args) => args.origin.from_package.is_some(),
            Self::Remove(args) => args.from_package,
            _ => false,
        }
    }

    /// What it changes when it succeeds.
    fn changes(&self) -> Changes {
        let host = match self {
            Self::Deploy(args) => args.apply,
            Self::Prune(args) => args.apply,
            Self::Remove(args) => args.apply,
            Self::Rollback(args) => !args.dry_run,
            Self::Restart(args) | Self::Start(args) | Self::Stop(args) => !args.dry_run,
            Self::Doctor(args) => args.actions.apply,
            Self::Secret(args) => args.action != secret::Action::List,
            Self::Env(args) => args.action != env::Action::List,
            Self::Recover(_) | Self::Soak(_) | Self::Drained(_) => true,
            _ => false,
        };
        let files = match self {
            Self::Generate(args) => args.writes(),
            Self::Doctor(args) => args.report.is_some(),
            Self::Package(_) | Self::Reference(_) => true,
            _ => false,
        };
        match (host, files) {
            (true, _) => Changes::Host,
            (_, true) => Changes::NamedFiles,
            _ => Changes::Nothing,
        }
    }
}

/// Parses the arguments, runs the command, and prints its end.
pub fn main() -> ExitCode {
    completion::answer();
    let matches = parser().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage::print(error),
    };
    // The program that it becomes has the umask of its unit.
    if !matches!(cli.command, Command::WithSecrets(_)) {
        crate::host::set_standard_umask();
    }
    let trace = crate::host::random_hex(8).unwrap_or_default();
    // `--root /` is this host: its hints need `sudo`, and no `--root`.
    let root = cli.root.clone();
    let root = root.filter(|root| crate::host::Host::new(Some(root)).is_offline());
    let out = Output::new(cli.format, cli.quiet, &trace, root);
    let changes = cli.command.changes();
    let own_code = match cli.command {
        Command::Run(_) => Some(exit::RUN_FAILED),
        Command::WithSecrets(_) => Some(exit::EXEC_FAILED),
        _ => None,
    };
    let result = run(cli, &out, trace);
    let own_code = own_code.filter(|_| result.is_err());
    let code = out.finish(result, changes);
    exit::exit_code(own_code.unwrap_or(code))
}

fn run(cli: Cli, out: &Output, trace: String) -> Result<Exit, Error> {
    if cli
        .root
        .as_ref()
        .is_some_and(|root| root.to_str().is_none())
    {
        let hint = "rename the directory: systemd's tools take paths in UTF-8";
        return Err(Error::refused("the path of `--root` is not UTF-8", hint));
    }
    let options = Options {
        app: cli.app,
        manifest: cli.manifest,
        environment: cli.environment,
        by_package: cli.command.is_by_package(),
        root: cli.root,
        typed: without_root(std::env::args_os().skip(1)),
    };
    let sink = |event: &_| out.event(event);
    let progress = |bytes| out.progress(bytes);
    let activity = |text: &str| out.activity(text);
    let ctx = &Context::new(options, trace, &sink, &progress, &activity);
    let result = match &cli.command {
        Command::Generate(args) => generate::run(args, ctx, out),
        Command::Deploy(args) => deploy::run(args, ctx, out),
        Command::Rollback(args) => rollback::run(args, ctx, out),
        Command::Package(args) => package::run(args, ctx, out),
        Command::Restart(args) => services::run(&services::RESTART, args, ctx, out),
        Command::Start(args) => services::run(&services::START, args, ctx, out),
        Command::Stop(args) => services::run(&services::STOP, args, ctx, out),
        Command::Recover(args) => recover::run(args, ctx, out),
        Command::Status => status::run(ctx, out),
        Command::Releases => releases::run(ctx, out),
        Command::History => history::run(ctx, out),
        Command::Logs(args) => logs::run(args, ctx, out),
        Command::Run(args) => run::run(args, ctx, out),
        Command::Check => check::run(ctx, out),
        Command::Score(args) => score::run(args, ctx, out),
        Command::Doctor(args) => doctor::run(args, ctx, out),
        Command::Prune(args) => prune::run(args, ctx, out),
        Command::Remove(args) => remove::run(args, ctx, out),
        Command::Secret(args) => secret::run(args, ctx, out),
        Command::Env(args) => env::run(args, ctx, out),
        Command::WithSecrets(args) => with_secrets::run(args),
        Command::Await(args) => internal::wait(args),
        Command::Soak(args) => internal::soak(args, ctx, out),
        Command::Drained(args) => internal::drained(args, ctx),
        Command::ProbeSandbox(args) => probe_sandbox::run(args, ctx, out),
        Command::Relay(args) => internal::relay(args),
        Command::ReadArchive(args) => read_archive::run(args),
        Command::Page(args) => internal::page(args, ctx),
        Command::Reference(args) => reference::run(args, out),
    };
    result.map_err(|error| ctx.complete_hints(error))
}

/// The words of a command line without `--root`, which hints add themselves; none if they are not UTF-8.
fn without_root(words: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    let mut kept = Vec::new();
    let mut words = words.map(|word| word.into_string().ok());
    while let Some(word) = words.next() {
        match word? {
            word if word == "--root" => drop(words.next()),
            word if word.starts_with("--root=") => {}
            word => kept.push(word),
        }
    }
    Some(kept)
}

/// The command line as it is typed: every help ends with the exit codes.
fn parser() -> clap::Command {
    let with_exits = |command: clap::Command| command.after_long_help(exit::help());
    with_exits(command()).mut_subcommands(with_exits)
}

/// The whole command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::{parser, without_root};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    #[test]
    fn the_words_of_a_hint_are_those_that_were_typed() {
        for (typed, kept) in [
            ("rollback", "rollback"),
            ("--root /mnt status", "status"),
            ("status --root=/mnt --app shop", "status --app shop"),
            ("status --root", "status"),
        ] {
            let words = without_root(typed.split(' ').map(Into::into));
            assert_eq!(words.unwrap().join(" "), kept, "{typed}");
        }
        let bytes = OsString::from_vec(vec![0xff]);
        assert_eq!(without_root([bytes].into_iter()), None);
    }

    #[test]
    fn the_command_line_is_sound_and_its_help_fits() {
        parser().debug_assert();
        let mut command = parser();
        command.build();
        for sub in command.get_subcommands_mut() {
            let name = sub.get_name().to_owned();
            let help = sub.render_long_help().to_string();
            let ends = name == "help" || help.contains("  5  another `robotctl`");
            assert!(ends, "{name}: {help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
