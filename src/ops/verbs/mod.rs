//! `restart`, `start` and `stop`: services of the live release, without any other change.

mod chosen;
mod restart;
mod start;
mod stop;

pub(in crate::ops) use chosen::service_named;
pub(crate) use chosen::{ServicesPlan, ServicesRequest};
pub(crate) use restart::{apply as restart, preview as preview_restart};
pub(crate) use start::{apply as start, preview as preview_start};
pub(crate) use stop::{apply as stop, preview as preview_stop};
