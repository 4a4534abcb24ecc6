//! The terminal that standard output goes to.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::termios::tcgetwinsize;
use std::os::fd::AsFd as _;

/// How many columns the terminal has; `None` if standard output does not go to a terminal.
pub fn terminal_columns() -> Option<usize> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Whether the reader of standard output has gone (poll(2), "POLLERR").
pub fn is_output_closed() -> bool {
    let output = std::io::stdout();
    let mut watched = [PollFd::new(output.as_fd(), PollFlags::empty())];
    let count = poll(&mut watched, PollTimeout::ZERO);
    let ended = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let mut events = watched.iter().filter_map(PollFd::revents);
    count.is_ok_and(|count| count > 0) && events.any(|events| events.intersects(ended))
}
