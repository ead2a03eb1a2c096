//! `info`, `roll` and `chop`: what concerns the event log of a ship (`spec/cli.md` section 3).

use super::{PierArgs, RollArgs, utility};
use crate::control_socket;
use replog::inspect;
use seguro_event::EventNumber;

/// How many epochs vere's `chop` leaves.
const KEPT_EPOCHS: usize = 2;

/// `info PIER`, in vere's words, and who else the ship lives on.
pub(super) fn info(args: &PierArgs) -> anyhow::Result<u8> {
    let found = inspect::look(&args.pier)?;
    println!("urbit: {} at event {}", args.pier.display(), found.last);
    println!("  ship: {}", serf_ipc::text::p::format(found.ship.who));
    println!("  disk: live=&, event={}, bytes={}", found.last, found.used_bytes);
    if let Some(member) = found.member {
        println!("  member: {member}");
    }
    println!("epocs:");
    for epoch in found.epochs {
        println!("  0i{epoch}");
    }
    Ok(0)
}

/// `roll PIER`: asks the member that runs there; of a ship that does not run the serf's own binary does it.
pub(super) fn roll(args: &RollArgs) -> anyhow::Result<u8> {
    let keep = usize::try_from(args.keep_epochs)?;
    if control_socket::is_served(&args.pier) {
        let epoch = control_socket::ask_roll(&args.pier, keep)?;
        println!("roll: new epoch {epoch}");
        return Ok(0);
    }
    utility::wait("roll", args.serf_bin.as_deref(), &args.pier)?;
    let dropped = inspect::chop(&args.pier, keep)?;
    say_dropped("roll", &dropped);
    Ok(0)
}

/// `chop PIER`: drops all epochs but the newest two of a ship that does not run.
pub(super) fn chop(args: &PierArgs) -> anyhow::Result<u8> {
    let dropped = inspect::chop(&args.pier, KEPT_EPOCHS)?;
    if dropped.is_empty() {
        println!("chop: nothing to do, try running roll first");
    }
    say_dropped("chop", &dropped);
    Ok(0)
}

fn say_dropped(utility: &str, epochs: &[EventNumber]) {
    for epoch in epochs {
        println!("{utility}: dropped epoch 0i{epoch}");
    }
}
