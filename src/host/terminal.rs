//! The terminal that standard output goes to.

use rustix::termios::tcgetwinsize;

/// How many columns the terminal has; `None` if standard output does not go to a terminal.
pub fn terminal_columns() -> Option<usize> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
