//! A turn: what was heard is taken in, then everything that can move is moved.

use super::{
    Heard, Pier,
    leaving::Leave,
    office::{GaveOut, Next, Office, Stage},
    serf::Asked,
};
use crate::{
    boot::wyrd,
    clock,
    driver::{Claim, DriverContext, DropReason, PeekAnswer, Request},
    drivers, limits,
    pipeline::Computed,
    ready,
    settings::ReadMode,
    simulated::{self, Defect},
};
use anyhow::{Context, anyhow, bail};
use replog::{Batch, Commit, Event, ReadError, Role};
use seguro_event::{EventNumber, Mug};
use serf_ipc::{ChildEvent, Incoming, Noun, Reply, SerfVersion, SessionError, WorkReply, Writ, jam};
use std::{sync::Arc, time::Instant};

impl Pier {
    /// Moves everything that can be moved without waiting.
    pub(super) async fn turn(&mut self, now: Instant) -> anyhow::Result<Option<Leave>> {
        self.look_at_log(now);
        self.hear_the_rest(now)?;
        if let Some(escalation) = self.serf.check_hang(now) {
            tracing::warn!(?escalation, event = %self.serf.event().next(), "the serf is silent over a computation");
        }
        self.advance_serf(now)?;
        self.advance_office(now).await?;
        self.feed(now)?;
        self.propose(now).await;
        self.release(now)?;
        self.advance_saving(now);
        self.hold_back_if_far();
        self.offer_office_if_far();
        self.say_ready();
        self.tell_operator();
        self.advance_leaving(now)
    }

    /// Takes in one thing that ended the wait.
    pub(super) async fn heard(&mut self, heard: Heard) -> anyhow::Result<()> {
        match heard {
            Heard::Nothing => Ok(()),
            Heard::LogGone => bail!("the replicated log ended"),
            Heard::Serf(Some(event)) => self.heard_serf(event, crate::clock::instant()),
            Heard::Serf(None) => self.serf_ended("its threads are gone", crate::clock::instant()),
            Heard::Driver(Some(message)) => self.heard_driver(message),
            Heard::Driver(None) => Ok(()),
            Heard::Read(read) => self.heard_read(read).await,
            Heard::Durable(durable) => self.heard_durable(durable),
            Heard::Rolled(rolled) => {
                self.heard_rolled(rolled);
                Ok(())
            }
            Heard::Held(hold) => {
                self.saving.heard_held(hold);
                Ok(())
            }
            Heard::Confirmed((asked, confirmed)) => {
                if let (true, Some(office)) = (confirmed, &mut self.office) {
                    office.confirmed = Some(asked);
                }
                Ok(())
            }
            Heard::Checked(checked) => self.heard_checked(checked),
            Heard::Dated(dated) => {
                self.heard_dated(dated);
                Ok(())
            }
            Heard::Control(Some(control)) => {
                self.heard_control(control);
                Ok(())
            }
            Heard::Control(None) => Ok(()),
            Heard::Installed(installed) => self.heard_installed(installed).await,
        }
    }

    /// Takes in what else is there already, up to a bound, so that one turn serves many events.
    fn hear_the_rest(&mut self, now: Instant) -> anyhow::Result<()> {
        for _ in 0..limits::TURN {
            let Some(event) = self.serf.hear_now() else { break };
            self.heard_serf(event, now)?;
        }
        for _ in 0..limits::TURN {
            let Some(message) = self.office.as_mut().and_then(Office::message_now) else {
                break;
            };
            self.heard_driver(message)?;
        }
        Ok(())
    }

    /// What the log says of this member's role and of commits. A commit is this office's own only if its term is.
    fn look_at_log(&mut self, now: Instant) {
        let commit = *self.commits.borrow_and_update();
        let role = self.role.borrow_and_update().clone();
        self.commit = commit;
        self.followed |= matches!(&role, Role::Follower { leader: Some(_) });
        if let Some(office) = &mut self.office {
            let ours =
                if office.barrier == EventNumber::ZERO && self.boot_proposed && commit.term == office.term {
                    // The boot sequence is not computed before it is committed: the office begins behind it.
                    let begun = Office::new(
                        office.term,
                        commit.event,
                        self.settings.run_ahead,
                        self.settings.batch,
                        now,
                    );
                    *office = begun;
                    self.boot = None;
                    true
                } else if simulated::has(Defect::ReleasedBeforeCommit) {
                    let proposed = office.pipeline.proposed();
                    office.pipeline.committed_to(Commit {
                        event: proposed.max(commit.event),
                        term: office.term,
                    })
                } else {
                    office.pipeline.committed_to(commit)
                };
            if !ours || !matches!(&role, Role::Leader { term, .. } if *term == office.term) {
                self.end_office(&role, now);
            }
        }
        if let (None, Role::Leader { term, barrier }) = (&self.office, &role)
            && self.leaving.is_none()
            && self.ended_terms < Some(*term)
        {
            tracing::info!(%term, %barrier, "elected");
            self.offices += 1;
            self.boot_proposed = false;
            self.office = Some(Office::new(
                *term,
                *barrier,
                self.settings.run_ahead,
                self.settings.batch,
                now,
            ));
        }
    }

    /// Loss of office: drivers stopped, and a serf that saw a future that may not happen is ended. It starts again
    /// from its last snapshot and is played to the committed end.
    fn end_office(&mut self, role: &Role, now: Instant) {
        let Some(office) = self.office.take() else { return };
        tracing::warn!(term = %office.term, ?role, computed = %office.pipeline.computed(), committed = %office.pipeline.committed(), "the office is over");
        self.ended_terms = Some(office.term);
        self.confirming = None;
        self.checking = None;
        self.dating = None;
        self.catch_up.feed_again = false;
        if office.end() && !simulated::has(Defect::RollbackForgotten) {
            tracing::info!("the serf holds events that may not be committed: rolled back");
            self.take_down_serf_at(now);
        }
    }

    pub(super) fn take_down_serf(&mut self) {
        self.take_down_serf_at(crate::clock::instant());
    }

    fn take_down_serf_at(&mut self, now: Instant) {
        let unanswered = self.serf.take_down(true, now);
        self.serf_left(unanswered);
    }

    /// Whoever waited for the serf that is gone learns it.
    fn serf_left(&mut self, unanswered: Vec<Asked>) {
        self.catch_up.reading = None;
        self.saving.forget();
        for asked in unanswered {
            match asked {
                Asked::Peek(peek) => (peek.answer)(PeekAnswer::Unavailable),
                Asked::Quiz(callback) => callback(None),
                Asked::Work | Asked::Play { .. } | Asked::Save(_) | Asked::Tidy(_) | Asked::Exit => {}
            }
        }
        self.catch_up.feed_again = self.office.is_some();
    }

    /// The serf died, or must: the events in flight will be given to the next one.
    fn serf_ended(&mut self, how: &str, now: Instant) -> anyhow::Result<()> {
        if !self.serf.is_running() {
            return Ok(());
        }
        let unanswered = self.serf.take_down(false, now);
        if self.leaving_awaits_exit() {
            return Ok(());
        }
        tracing::error!(
            how,
            "the serf ended; it is started again and played to where it was"
        );
        if let (Some(Asked::Work), Some(office)) = (unanswered.first(), &mut self.office) {
            let program = self.serf.command().program.display();
            office.serf_died().map_err(|times| {
                anyhow!(
                    "the serf {program} died {times} times over the kernel's check of this king's versions (%wyrd), the last time so: {how}. Its \
                     snapshot, its binary or this machine's memory is at fault; the log is safe"
                )
            })?;
        }
        self.serf_left(unanswered);
        if self.serf.deaths_in_a_row() >= limits::SERF_DEATHS_IN_A_ROW {
            bail!(
                "the serf {} died {} times in a row without an answer, the last time so: {how}. Its snapshot, its binary or this machine's memory \
                 is at fault; the log is safe",
                self.serf.command().program.display(),
                self.serf.deaths_in_a_row()
            );
        }
        Ok(())
    }

    fn heard_serf(&mut self, event: ChildEvent, now: Instant) -> anyhow::Result<()> {
        match event {
            ChildEvent::Plea(plea) => match self.serf.receive(plea, now) {
                Ok(Some(incoming)) => self.heard_plea(incoming, now),
                Ok(None) => Ok(()),
                Err(error @ SessionError::Protocol { .. }) => {
                    Err(error).context("this serf cannot be driven")
                }
                Err(error) => self.serf_ended(&format!("it broke the protocol: {error}"), now),
            },
            ChildEvent::Bad(bad) => self.serf_ended(&format!("it sent what is no plea: {bad}"), now),
            ChildEvent::Stderr(line) => {
                crate::console::serf_line(&line);
                Ok(())
            }
            ChildEvent::Exited(ending) => self.serf_ended(&super::serf::describe(&ending), now),
        }
    }

    fn heard_plea(&mut self, incoming: Incoming<Asked>, now: Instant) -> anyhow::Result<()> {
        match incoming {
            Incoming::Ripe(ripe) => {
                tracing::info!(event = %ripe.event, mug = %ripe.mug, "serf awake");
                self.saving.know_saved(ripe.event);
                if ripe.event > self.commit.event {
                    bail!(
                        "the serf's snapshot is at event {}, but only {} are committed: this pier's log was replaced by an older one. \
                         Restore the log, or replace this member",
                        ripe.event,
                        self.commit.event
                    );
                }
                Ok(())
            }
            Incoming::Slog { priority, tank } => {
                if self.slog(&tank) == Claim::Passed {
                    crate::console::slog(u64::from(priority), &tank);
                }
                Ok(())
            }
            Incoming::Flog(text) => {
                if self.slog(&text) == Claim::Passed {
                    crate::console::flog(&text);
                }
                Ok(())
            }
            Incoming::Reply(asked, reply) => self.heard_reply(asked, reply, now),
        }
    }

    /// The drivers hear what the ship prints.
    fn slog(&mut self, what: &Noun) -> Claim {
        self.office
            .as_mut()
            .map_or(Claim::Passed, |office| office.slog(what))
    }

    fn heard_reply(&mut self, asked: Asked, reply: Reply, now: Instant) -> anyhow::Result<()> {
        match (asked, reply) {
            (Asked::Work, Reply::Work(reply)) => {
                if let Some(office) = &mut self.office {
                    if office.stage == Stage::Wyrd {
                        refuse_downgrade(&reply, self.settings.serf.command.version)?;
                    }
                    worked(office, reply, now);
                }
                Ok(())
            }
            (Asked::Peek(peek), Reply::Peek(answer)) => {
                match &mut self.office {
                    Some(_) if simulated::has(Defect::PeekBeforeCommit) => {
                        (peek.answer)(answer.map_or_else(PeekAnswer::Bailed, PeekAnswer::Done));
                    }
                    Some(office) => office.pipeline.peeked(answer, peek),
                    None => (peek.answer)(PeekAnswer::Unavailable),
                }
                Ok(())
            }
            (Asked::Play { last, expected }, Reply::Play(reply)) => self.played(last, expected, reply),
            (Asked::Save(event), Reply::Live) => {
                self.heard_saved(event);
                Ok(())
            }
            (Asked::Tidy(what), Reply::Live) => {
                tracing::info!(target: crate::console::TARGET, "pier: {what} complete");
                Ok(())
            }
            (Asked::Quiz(callback), Reply::QuizQuac(report) | Reply::QuizQuic(report)) => {
                callback(Some(report));
                Ok(())
            }
            (asked, _) => {
                let what = match asked {
                    Asked::Work => "work",
                    Asked::Peek(_) => "peek",
                    Asked::Play { .. } => "play",
                    Asked::Save(_) => "save",
                    Asked::Tidy(what) => what,
                    Asked::Quiz(_) => "quiz",
                    Asked::Exit => "exit",
                };
                bail!("the session matched a reply of another kind with {what}: this is a defect of the king")
            }
        }
    }

    fn heard_driver(&mut self, message: (usize, crate::driver::Message)) -> anyhow::Result<()> {
        let Some(request) = self.office.as_mut().and_then(|office| office.sort(message)) else {
            return Ok(());
        };
        let now = crate::clock::instant();
        match request {
            Request::Exit(code) => self.leave(code, now),
            Request::Fatal(message) => bail!("{message}"),
            Request::Pack => self.serf.send(Writ::Pack, Asked::Tidy("pack"), now)?,
            Request::Meld => self.serf.send(Writ::Meld, Asked::Tidy("meld"), now)?,
            Request::Quac(callback) => self.serf.send(Writ::QuizQuac, Asked::Quiz(callback), now)?,
            Request::Quic(callback) => self.serf.send(Writ::QuizQuic, Asked::Quiz(callback), now)?,
            Request::Info(callback) => callback(self.info()),
        }
        Ok(())
    }

    /// Brings an office from its beginning to open drivers.
    async fn advance_office(&mut self, now: Instant) -> anyhow::Result<()> {
        let Some(office) = &self.office else { return Ok(()) };
        if office.stage == Stage::Open && !office.live_said && office.is_live() {
            self.say_live(now);
        }
        let Some(office) = &self.office else { return Ok(()) };
        if self.leaving.is_some() {
            return Ok(());
        }
        if office.stage == Stage::Checked {
            return self.begin_wyrd().await;
        }
        if office.stage != Stage::CatchingUp {
            return Ok(());
        }
        if office.barrier == EventNumber::ZERO {
            return self.propose_boot().await;
        }
        if !self.serf_is_current() {
            return Ok(());
        }
        if !self.enough_machines(now) {
            return Ok(());
        }
        if self.check_double_boot() {
            return Ok(());
        }
        self.begin_wyrd().await
    }

    /// Asks the kernel whether it takes this king: behind that the drivers begin.
    async fn begin_wyrd(&mut self) -> anyhow::Result<()> {
        let Some(office) = &mut self.office else {
            return Ok(());
        };
        match self.log.read(office.barrier, 1, 0).await {
            Ok(last) => {
                let date = last.first().and_then(|event| clock::date_of_jam(&event.jam));
                self.plan_wyrd(date);
            }
            Err(ReadError::Chopped { .. }) => self.ask_last_date(),
            Err(error) => return Err(error).context("the log's last event cannot be read"),
        }
        Ok(())
    }

    /// Plans `%wyrd`, later than the last event.
    pub(super) fn plan_wyrd(&mut self, last: Option<u128>) {
        let Some(office) = &mut self.office else { return };
        office.clock = Some(clock::EventClock::new(last));
        tracing::info!(target: crate::console::TARGET, "vere: checking version compatibility");
        office.plan_wyrd(wyrd::ovum(clock::now(), self.settings.serf.command.version));
    }

    /// A ship that is made now: its boot sequence is one batch, committed first and played then (`spec/boot.md` 3).
    async fn propose_boot(&mut self) -> anyhow::Result<()> {
        let Some(office) = &self.office else { return Ok(()) };
        if self.boot_proposed {
            return Ok(());
        }
        let Some(boot) = &self.boot else {
            bail!(
                "the log holds no event: the ship was never booted, or the member that booted it was lost before its first commit. \
                 Boot it again, in new directories"
            )
        };
        let events = (1..)
            .zip(&boot.events)
            .map(|(number, noun)| Event {
                number: EventNumber(number),
                mug: Mug::UNKNOWN,
                jam: jam(noun).into(),
            })
            .collect();
        let batch = Batch::new(events).context("the boot sequence")?;
        let term = office.term;
        tracing::info!(
            events = batch.events().len(),
            bytes = batch.bytes(),
            "boot sequence proposed"
        );
        self.boot_proposed = true;
        if let Err(error) = self.log.propose(term, batch).await {
            self.boot_proposed = false;
            tracing::warn!(%error, "the boot sequence was not taken");
        }
        Ok(())
    }

    /// Whether a majority of the machines that the operator named votes: a ship on three machines does not speak to
    /// the world while it lives on one.
    fn enough_machines(&mut self, now: Instant) -> bool {
        let wanted = self.settings.machines / 2 + 1;
        if self.settings.machines <= 1 {
            return true;
        }
        let voters = self
            .log
            .status()
            .members
            .iter()
            .filter(|member| member.voter)
            .count();
        if voters >= wanted {
            return true;
        }
        if self
            .waiting_said
            .is_none_or(|said| now.duration_since(said) > limits::PROGRESS_EVERY)
        {
            self.waiting_said = Some(now);
            tracing::info!(target: crate::console::TARGET, "seguro: waiting for machines: {voters} of {wanted} that must be there have joined");
        }
        false
    }

    /// Gives the serf what it may be given, and no more.
    fn feed(&mut self, now: Instant) -> anyhow::Result<()> {
        let current = self.serf_is_fed();
        let Some(office) = &mut self.office else {
            return Ok(());
        };
        if !current
            || office.stage == Stage::CatchingUp
            || self.saving.holds_intake()
            || !office.has_waiting()
        {
            return Ok(());
        }
        let wall = clock::now();
        let mut after_event = false;
        while self.serf.depth() < self.settings.run_ahead.in_serf {
            let Some(next) = office.next(wall, after_event) else {
                break;
            };
            match next {
                Next::Work { job, work } => {
                    after_event = true;
                    let bytes = jam(&job);
                    if bytes.len() > limits::EVENT_BYTES {
                        tracing::error!(wire = %work.ovum.path(), tag = %work.ovum.tag(), bytes = bytes.len(), "an event larger than {} bytes is dropped", limits::EVENT_BYTES);
                        work.tell(crate::driver::Outcome::Dropped(DropReason::TooLarge));
                        continue;
                    }
                    match self.serf.send(super::serf::work(job.clone()), Asked::Work, now) {
                        // Of its length: it is kept for a while, and jam leaves room at its end.
                        Ok(()) => office.pipeline.fed(job, bytes.into_boxed_slice().into(), work),
                        Err(error) => {
                            tracing::error!(wire = %work.ovum.path(), tag = %work.ovum.tag(), %error, "an event is dropped");
                            work.tell(crate::driver::Outcome::Dropped(DropReason::Refused));
                        }
                    }
                }
                Next::Peek(peek) => {
                    after_event = false;
                    let sample = peek.sample.clone();
                    self.serf
                        .send(Writ::Peek { limit_ms: 0, sample }, Asked::from(peek), now)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the serf has been given everything that came before what is new.
    fn serf_is_fed(&self) -> bool {
        let Some(office) = &self.office else { return false };
        self.serf.is_awake()
            && self.catch_up.reading.is_none()
            && !self.catch_up.feed_again
            && self.serf.event() == office.pipeline.computed()
    }

    /// Hands due batches to the log.
    async fn propose(&mut self, now: Instant) {
        let mut refused = false;
        while let Some(office) = &mut self.office {
            let Some(batch) = office.pipeline.take_batch(now) else {
                break;
            };
            if let Err(error) = self.log.propose(office.term, batch).await {
                tracing::warn!(%error, "a batch was not taken");
                refused = true;
                break;
            }
        }
        if refused {
            let role = self.role.borrow().clone();
            self.end_office(&role, now);
        }
    }

    /// Gives out what is committed, in order, while the office is certain.
    fn release(&mut self, now: Instant) -> anyhow::Result<()> {
        while let Some(office) = &mut self.office {
            if !office.pipeline.has_releasable() {
                break;
            }
            let confirmed = office
                .confirmed
                .filter(|asked| now.saturating_duration_since(*asked) < limits::CONFIRMATION_LASTS);
            let certain = self.log.lease_holds(office.term)
                || confirmed.is_some()
                || simulated::has(Defect::StaleLeaderReleases);
            let read_certain = match (self.settings.reads, office.pipeline.front_peek()) {
                (ReadMode::Quorum, Some(peek)) => office.confirmed.is_some_and(|asked| asked >= peek.since),
                _ => true,
            };
            if !certain || !read_certain {
                self.ask_confirmation();
                break;
            }
            let Some(released) = office.pipeline.release_next() else {
                break;
            };
            match office.give_out(released) {
                GaveOut::Event => {}
                GaveOut::WyrdAccepted => self.open_drivers()?,
                GaveOut::WyrdRefused => bail!(
                    "pier: version negotation failed: the ship's kernel refuses this runtime's kelvin versions. Run a serf of the version that the ship's kernel wants"
                ),
            }
        }
        Ok(())
    }

    fn ask_confirmation(&mut self) {
        let Some(office) = &self.office else { return };
        if self.confirming.is_some() {
            return;
        }
        let (log, term) = (self.log.clone(), office.term);
        self.confirming = Some(Box::pin(async move {
            let asked = crate::clock::instant();
            (asked, log.confirm_office(term).await.is_ok())
        }));
    }

    /// The kernel accepted this king: the drivers begin.
    fn open_drivers(&mut self) -> anyhow::Result<()> {
        let Some(office) = &mut self.office else {
            return Ok(());
        };
        let ship = self
            .log
            .identity()
            .context("the log does not say whose ship this is")?;
        let settings = Arc::new(self.settings.drivers.clone());
        let context = |place| DriverContext {
            intake: office.intake(place),
            ship,
            pier: self.settings.pier.clone(),
            settings: settings.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let drivers = drivers::all(context);
        office.open(drivers)
    }

    fn say_live(&mut self, now: Instant) {
        let Some(office) = &mut self.office else { return };
        office.live_said = true;
        tracing::info!(target: crate::console::TARGET, "pier ({}): live", office.pipeline.computed());
        tracing::info!(term = %office.term, millis = now.duration_since(office.since).as_millis(), "live");
        if self.settings.exit_when_live {
            self.leave(0, now);
        }
    }

    /// Tells whoever started this process, once: a leader's ship is live, or a follower's serf is where the log is. A member that
    /// knows no leader is no follower yet: it may be about to lead.
    fn say_ready(&mut self) {
        let ready = match &self.office {
            Some(office) => office.live_said,
            None => {
                matches!(*self.role.borrow(), Role::Follower { leader: Some(_) })
                    && self.commit.event > EventNumber::ZERO
                    && self.serf_is_current()
            }
        };
        if ready && !std::mem::replace(&mut self.ready_said, ready) {
            ready::say();
        }
    }

    /// Whether the serf has so much to catch up, fails so often, or hangs, that another member should serve.
    pub(super) fn serf_is_far(&self) -> bool {
        let trails =
            self.serf.is_awake() && self.commit.event.since(self.serf.event()) > limits::LAG_FOR_OFFICE;
        trails || self.serf.deaths_in_a_row() > 1 || self.serf.is_slow(crate::clock::instant())
    }

    /// Lets this member stand for election only while its serf is near, if others can: an office whose serf has to
    /// catch up first is a long pause. A serf that is only starting is no reason.
    fn hold_back_if_far(&mut self) {
        let far = self.serf_is_far();
        if self.office.is_none() && self.held_back != Some(far) {
            self.held_back = Some(far);
            self.log.hold_back(far);
        }
    }
}

/// A kernel that wants an older runtime says so in `%wyrd`'s effects. The king ends before that event is in the log.
fn refuse_downgrade(reply: &WorkReply, version: SerfVersion) -> anyhow::Result<()> {
    let (WorkReply::Done { effects, .. } | WorkReply::Swap { effects, .. }) = reply else {
        return Ok(());
    };
    match wyrd::wanted_downgrade(effects, version) {
        None => Ok(()),
        Some(zuse) => bail!(
            "pier: version negotation failed; downgrade: the ship's kernel wants a runtime for %zuse {zuse}. Run it with a serf of the \
             version that it was last run with; nothing of this start is in its log"
        ),
    }
}

/// The serf answered the oldest event.
fn worked(office: &mut Office, reply: WorkReply, now: Instant) {
    let computed = |number, mug, effects: Noun, swapped: Option<Noun>| Computed {
        number,
        mug,
        swapped: swapped.map(|job| jam(&job).into()),
        effects,
    };
    match reply {
        WorkReply::Done { event, mug, effects } => office
            .pipeline
            .computed_next(computed(event, mug, effects, None), now),
        WorkReply::Swap {
            event,
            mug,
            job,
            effects,
        } => {
            office
                .pipeline
                .computed_next(computed(event, mug, effects, Some(job)), now);
        }
        WorkReply::Bail(goofs) => office.pipeline.bailed_next(goofs),
    }
}
