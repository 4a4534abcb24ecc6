//! The front: arguments in, one stage called, text and exit code out.

mod check;
mod deploy;
mod doctor;
mod exit;
mod find;
mod generate;
mod internal;
mod manual;
mod permit;
mod preview;
mod printer;
mod prune;
mod reference;
mod remove;
mod rollback;
mod score;
mod show;
mod typed;
mod view;
mod which;

pub use exit::Exit;
pub use printer::{Format, Printer};

use crate::error::{Error, Kind};
use crate::host::Host;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Hardened systemd units, atomic releases and rollback for services on plain Debian machines
#[derive(Debug, Parser)]
#[command(
    name = "robotctl",
    version,
    max_term_width = 80,
    subcommand_required = true
)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// The app to work on, when several are on this host
    #[arg(long, global = true, value_name = "NAME")]
    app: Option<String>,
    /// The manifest [default: ./robot.toml, then the installed app's]
    #[arg(long, global = true, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The overlay of the manifest: the app is called <app>-<NAME>
    #[arg(long, global = true, value_name = "NAME")]
    environment: Option<String>,
    /// Works on a tree that is not running: an image, a test
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// How data is written
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
    /// Says nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Renders units, timers, drop-ins, tmpfiles.d and sysusers.d
    Generate(generate::Args),
    /// Shows what a deploy would do; with --apply, does it
    Deploy(deploy::Args),
    /// Puts back the release that was live before, or a named one
    Rollback(rollback::Args),
    /// Ends an interrupted deploy in old or new, never between
    Recover(internal::RecoverArgs),
    /// Shows what is live and what every process really runs
    Status,
    /// Lists the releases on this host
    Releases,
    /// Tells what happened, oldest first
    History,
    /// Runs the smoke checks
    Check,
    /// Scores how exposed each service is, and says what it costs
    Score(score::Args),
    /// Finds what is wrong with the host and the app, and says what to type
    Doctor(doctor::Args),
    /// Removes old releases
    Prune(prune::Args),
    /// Removes an app from this host
    Remove(remove::Args),
    /// Waits until an address accepts
    #[command(hide = true)]
    Await(internal::AwaitArgs),
    /// Watches a release after its deploy and puts the one before back when a service loops
    #[command(hide = true)]
    Soak(internal::SoakArgs),
    /// Passes connections on to a server that cannot take a socket over
    #[command(hide = true)]
    Relay(internal::RelayArgs),
    /// Serves the reference application's status page
    #[command(hide = true)]
    Page(internal::PageArgs),
    /// Writes man pages, completions and the reference documents
    #[command(hide = true)]
    Reference(reference::Args),
}

/// What every command gets.
#[derive(Debug)]
struct Ctx {
    app: Option<String>,
    manifest: Option<PathBuf>,
    environment: Option<String>,
    root: Option<PathBuf>,
    host: Host,
    printer: Printer,
}

/// Parses arguments, runs, prints the error and its hint, and gives the exit code.
pub fn main() -> ExitCode {
    let matches = parser().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            printer::note(error.print());
            return if error.use_stderr() || Printer::lost().is_some() {
                Exit::Refused.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    crate::host::plain_umask();
    let ctx = Ctx {
        host: Host::new(cli.root.as_deref()),
        app: cli.app,
        manifest: cli.manifest,
        environment: cli.environment,
        root: cli.root,
        printer: Printer {
            format: cli.format,
            quiet: cli.quiet,
        },
    };
    let result = match &cli.command {
        Command::Generate(args) => generate::run(args, &ctx),
        Command::Deploy(args) => deploy::run(args, &ctx),
        Command::Rollback(args) => rollback::run(args, &ctx),
        Command::Recover(args) => internal::recover(args, &ctx),
        Command::Status => show::status(&ctx),
        Command::Releases => show::releases(&ctx),
        Command::History => show::history(&ctx),
        Command::Check => check::run(&ctx),
        Command::Score(args) => score::run(args, &ctx),
        Command::Doctor(args) => doctor::run(args, &ctx),
        Command::Prune(args) => prune::run(args, &ctx),
        Command::Remove(args) => remove::run(args, &ctx),
        Command::Await(args) => internal::wait(args),
        Command::Soak(args) => internal::soak(args, &ctx),
        Command::Relay(args) => internal::relay(args),
        Command::Page(args) => internal::page(args, &ctx),
        Command::Reference(args) => reference::run(args, &ctx),
    };
    let exit = result.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        let hint = match exit {
            Exit::Locked => "\n\nhint: type it again later, or with `--wait SECONDS`",
            _ => "",
        };
        let error = Error::of_kind(Kind::Unexpected, error);
        let told = ctx.for_tree(&format!("error: {error}{hint}"));
        ctx.printer.always(&told);
        exit
    });
    told(exit, &cli.command, ctx.printer).into()
}

/// The exit code, when what was to be told could be told; a change is made all the same.
fn told(exit: Exit, command: &Command, printer: Printer) -> Exit {
    let Some(why) = Printer::lost().filter(|_| matches!(exit, Exit::Done | Exit::No)) else {
        return exit;
    };
    let changes = match command {
        Command::Deploy(args) => args.is_change(),
        Command::Rollback(_) | Command::Recover(_) | Command::Prune(_) | Command::Remove(_) => true,
        _ => false,
    };
    let (told, hint) = match changes {
        true => (
            "; the command itself is done",
            "look at what it did: `sudo robotctl status` and `sudo robotctl history`",
        ),
        false => ("", "make room, or write it elsewhere"),
    };
    printer.always(&format!(
        "error: writing to standard output: {why}{told}\n\nhint: {hint}"
    ));
    match changes {
        true => Exit::Degraded,
        false => Exit::Refused,
    }
}

/// The command line as it is typed: each help ends with the exit codes.
fn parser() -> clap::Command {
    let with_exits = |command: clap::Command| command.after_long_help(Exit::help());
    with_exits(command()).mut_subcommands(with_exits)
}

/// The whole command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::parser;

    #[test]
    fn the_command_line_is_sound_and_its_help_fits() {
        parser().debug_assert();
        let mut command = parser();
        command.build();
        for sub in command.get_subcommands_mut() {
            let name = sub.get_name().to_owned();
            let help = sub.render_long_help().to_string();
            let ends = name == "help" || help.contains("\n  5  another `robotctl`");
            assert!(ends, "{name}: {help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
