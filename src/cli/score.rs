//! `robotctl score`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::Target;
use crate::host::{Root, read_user_file};
use crate::sandbox::cost::{Account, Change, account, accounts};
use crate::units::drop_in_dir;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Arguments of `score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exit code 1 when a unit scores above this, such as 0.2
    #[arg(long, value_name = "SCORE", value_parser = tenths)]
    threshold: Option<u32>,
    /// Scores unit files and the drop-ins beside them in place of the manifest
    #[arg(long, value_name = "FILE", num_args = 1..)]
    unit: Vec<PathBuf>,
}

fn tenths(text: &str) -> Result<u32, &'static str> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    match (whole.parse::<u32>(), part.len(), part.parse::<u32>()) {
        (Ok(whole @ 0..=10), 1, Ok(part)) => Ok(whole * 10 + part),
        _ => Err("write a score from 0.0 to 10.0"),
    }
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let all = if args.unit.is_empty() {
        let loaded = ctx.load()?;
        accounts(&loaded.app, ctx.target(&loaded.app))?
    } else {
        let files = args.unit.iter().map(|file| of_file(ctx, file));
        files.collect::<Result<Vec<_>>>()?
    };
    ctx.printer.value(&all, |all| shown(all));
    let Some(limit) = args.threshold else {
        return Ok(Exit::Done);
    };
    let above = all.iter().filter(|it| it.tenths > limit).count();
    if above == 0 {
        return Ok(Exit::Done);
    }
    let limit = crate::exposure::shown(limit);
    let told = format!("{above} of {} units score above {limit}", all.len());
    ctx.printer.say(&told);
    Ok(Exit::No)
}

/// Scores a unit file with what lies in its `.d` directory.
fn of_file(ctx: &Ctx, file: &Path) -> Result<Account> {
    let read = |path: &Path| match read_user_file(path) {
        Ok(text) => Ok(text),
        Err(error) => refuse(
            format!("reading `{}`: {error}", path.display()),
            "name files of units, such as `/usr/lib/systemd/system/cron.service`",
        ),
    };
    let mut texts = vec![read(file)?];
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(drop_in_dir(&name));
    for conf in Root::new(&beside).list("/")? {
        if conf.ends_with(".conf") {
            texts.push(read(&beside.join(conf))?);
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let version = match ctx.host.systemd.version() {
        Ok(version) if !ctx.host.is_offline() => version,
        _ => Target::NEWEST,
    };
    Ok(account(&name, &texts, version))
}

/// One line a unit; below it what its exceptions cost and what would lower the score.
fn shown(all: &[Account]) -> String {
    let mut text = String::from("score  floor  points   over  unit\n");
    for one in all {
        let Account {
            unit,
            score,
            points,
            floor,
            exceptions,
            ..
        } = one;
        let floor = floor.as_deref().unwrap_or("-");
        let over = match one.floor_points {
            Some(floor) if *points > floor => format!("+{}", points - floor),
            Some(_) => "=".to_owned(),
            None => "-".to_owned(),
        };
        text.push_str(&format!(
            "{score:>5}  {floor:>5}  {points:>6}  {over:>5}  {unit}\n"
        ));
        if let (Some(because), "=") = (one.because, over.as_str()) {
            text.push_str(&format!("{:>30}  {because}\n", "left:"));
        }
        for Change {
            what,
            points,
            opens,
        } in exceptions
        {
            text.push_str(&format!("{points:>+30}  {what}: {opens}\n"));
        }
        let ways = one.lower.iter();
        let ways: Vec<String> = ways
            .map(|way| format!("-{} {}", way.points, way.what))
            .collect();
        if !ways.is_empty() {
            text.push_str(&format!("{:>30}  {}\n", "lower:", ways.join(", ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn a_threshold_is_a_score() {
        assert_eq!(tenths("0.2"), Ok(2));
        assert_eq!(tenths("10"), Ok(100));
        for bad in ["", "0.25", "-1", "11", ".5", "0."] {
            assert!(tenths(bad).is_err(), "{bad}");
        }
    }
}
