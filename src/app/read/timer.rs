//! `service.NAME.timer`.

use super::reader::get;
use crate::app::lines::Calendar;
use crate::app::names::Span;
use crate::app::service::{Timer, Type};
use crate::manifest::{Problem, Result, TimerTable};

/// The timer of a service with this type.
pub(super) fn timer(key: &str, table: Option<&TimerTable>, kind: Type) -> Result<Option<Timer>> {
    let Some(table) = table else { return Ok(None) };
    let at = |last: &'static str| ["service", key, "timer", last];
    if kind != Type::Oneshot {
        let message = format!("service `{key}` has a timer and is not `oneshot`");
        return Err(Problem::new(
            &["service", key, "type"],
            message,
            "a timer starts jobs: remove `type`, or write `type = \"oneshot\"`",
        ));
    }
    let span = |last: &'static str, text: &Option<String>| match text {
        Some(text) => get(&at(last), text, "a time span", Span::parse).map(Some),
        None => Ok(None),
    };
    let timer = Timer {
        calendar: match &table.calendar {
            Some(text) => {
                let path = at("calendar");
                Some(get(&path, text, "a calendar event", Calendar::parse)?)
            }
            None => None,
        },
        on_boot: span("on-boot", &table.on_boot)?,
        on_unit_active: span("on-unit-active", &table.on_unit_active)?,
        persistent: table.persistent,
        randomized_delay: span("randomized-delay", &table.randomized_delay)?,
    };
    if timer.calendar.is_none() && timer.on_boot.is_none() && timer.on_unit_active.is_none() {
        return Err(Problem::new(
            &["service", key, "timer"],
            "the timer never elapses",
            "add `calendar = \"hourly\"` or `on-boot = \"5min\"`",
        ));
    }
    Ok(Some(timer))
}
