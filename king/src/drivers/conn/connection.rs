//! One client's connection: a reader that turns frames into work for the ship, and a writer that sends answers as
//! they come. They are one task, and the ship's callbacks only put into the writer's queue.

use super::{
    Shared,
    answer::{Body, Outbox, Outgoing, Ticket, Units, frame},
    peel::{self, Peel},
    request::{Asked, Refusal, Request, parse},
};
use crate::{
    driver::{self, Outcome},
    drivers::report,
    limits,
    ovum::Ovum,
};
use serf_ipc::{
    Noun, n,
    newt::Decoder,
    text::{self, Aura},
};
use std::{
    collections::HashMap,
    io,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::timeout,
};

/// What the driver knows of a connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) outbox: Outbox,
    /// What is held by threads that run in the ship, under their requests' names.
    threads: Arc<Mutex<HashMap<Noun, Vec<Units>>>>,
}

impl Connection {
    /// A thread has come to its end: `[rid %avow result]`.
    pub(super) fn avow(&self, rid: Noun, result: Noun) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut units = None;
        if let Some(held) = threads.get_mut(&rid) {
            units = held.pop().flatten();
            if held.is_empty() {
                threads.remove(&rid);
            }
        }
        self.outbox.send(rid, Body::Avow(result), units);
    }

    /// What became of a thread's start. Once it runs, its answer is an effect.
    fn started(&self, ticket: Ticket, outcome: Outcome) {
        match outcome {
            Outcome::Committed { swapped: false, .. } => {
                let (rid, units) = ticket.hand_on();
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.entry(rid).or_default().push(units);
            }
            // It never began, and why is in the log only: vere lets the client wait for ever.
            Outcome::Committed { swapped: true, .. } | Outcome::Dropped(_) => {
                ticket.answer(Body::Bail(Vec::new()))
            }
            Outcome::Bailed(goofs) => ticket.answer(Body::Bail(goofs)),
            Outcome::Unknown => drop(ticket),
        }
    }
}

/// Serves a client to the end of its connection.
pub(super) async fn serve(shared: Arc<Shared>, number: u32, stream: UnixStream) {
    let (outbox, outgoing) = Outbox::new();
    let connection = Connection {
        outbox: outbox.clone(),
        threads: Arc::default(),
    };
    shared.connections().insert(number, connection.clone());
    if shared.is_stopping() {
        // The driver's end has not seen this one.
        outbox.hang_up();
    }
    let (read, write) = stream.into_split();
    let units = Arc::new(Semaphore::new(limits::CONN_UNITS as usize));
    let reader = Reader {
        shared: Arc::clone(&shared),
        number,
        connection,
        units,
    };
    {
        let mut writer = pin!(write_answers(write, outgoing));
        let mut reader = pin!(reader.run(read));
        tokio::select! {
            biased;
            () = &mut writer => {}
            () = &mut reader => linger(writer).await,
            () = outbox.closing() => linger(writer).await,
        }
    }
    shared.connections().remove(&number);
    shared.closed(number).await;
}

/// Gives the client a moment to take what was said before the end.
async fn linger(writer: impl Future<Output = ()>) {
    let _ = timeout(limits::CONN_LINGER, writer).await;
}

/// Writes answers until the end is among them or the client is gone: as many at once as there are.
async fn write_answers(mut stream: OwnedWriteHalf, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    let mut taken = Vec::new();
    let mut batch = Batch::default();
    while outgoing.recv_many(&mut taken, limits::CONN_UNITS as usize).await > 0 {
        for item in taken.drain(..) {
            let stays = match item {
                Outgoing::Answer { rid, body, units } => batch.add(&rid, &body, units),
                Outgoing::Close => false,
            };
            if (!stays || batch.is_full()) && batch.write(&mut stream).await.is_err() {
                return;
            }
            if !stays {
                let _ = stream.shutdown().await;
                return;
            }
        }
        if batch.write(&mut stream).await.is_err() {
            return;
        }
    }
}

/// Answers that are written together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// What their requests hold until then.
    units: Vec<Units>,
}

impl Batch {
    /// False for an answer that has no frame: then the connection ends.
    fn add(&mut self, rid: &Noun, body: &Body, units: Units) -> bool {
        match frame(rid, body) {
            Ok(frame) if self.bytes.is_empty() => self.bytes = frame,
            Ok(frame) => self.bytes.extend_from_slice(&frame),
            Err(error) => {
                tracing::error!(%error, "conn: an answer does not fit into a frame; hanging up");
                return false;
            }
        }
        self.units.push(units);
        true
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= limits::CONN_WRITE_BYTES
    }

    async fn write(&mut self, stream: &mut OwnedWriteHalf) -> io::Result<()> {
        stream.write_all(&self.bytes).await?;
        self.bytes.clear();
        self.bytes.shrink_to(limits::CONN_WRITE_BYTES);
        self.units.clear();
        Ok(())
    }
}

/// Takes a client's requests, as long as it has units for them.
struct Reader {
    shared: Arc<Shared>,
    number: u32,
    connection: Connection,
    units: Arc<Semaphore>,
}

impl Reader {
    /// Reads until the client has no more to say or says what cannot be understood. Either ends the connection; a
    /// client that closes only its own direction is not waited for, as in vere.
    async fn run(self, mut stream: OwnedReadHalf) {
        match self.read(&mut stream).await {
            Ok(()) => self.connection.outbox.hang_up(),
            Err(refusal) => self.connection.outbox.refuse(refusal),
        }
    }

    async fn read(&self, stream: &mut OwnedReadHalf) -> Result<(), Refusal> {
        let mut decoder = Decoder::new(limits::CONN_FRAME_BYTES);
        loop {
            while let Some(body) = decoder.next_body().map_err(|error| {
                tracing::warn!(target: "conn", %error, "a client sent what is no frame, or too large a one");
                Refusal::NewtDecode
            })? {
                let bytes = body.len();
                let asked = if bytes < limits::CONN_PARSE_BYTES {
                    parse(body)?
                } else {
                    parse_aside(body.to_vec()).await?
                };
                self.take(asked, bytes).await?;
            }
            match stream.read(decoder.space()).await {
                Ok(0) => return Ok(()),
                Ok(count) => decoder.filled(count),
                Err(error) => {
                    tracing::debug!(target: "conn", %error, "the client is gone");
                    return Ok(());
                }
            }
        }
    }

    /// Has the ship or the king do what is asked.
    async fn take(&self, Asked { rid, request }: Asked, bytes: usize) -> Result<(), Refusal> {
        // vere prints a line for each request on the console; at thousands a second that is for the debugging log.
        if tracing::enabled!(target: "conn", tracing::Level::DEBUG) {
            tracing::debug!(target: "conn", "conn: {} {}", request.tag(), name(&rid));
        }
        let weight = weight(&request, bytes);
        let units = Arc::clone(&self.units).acquire_many_owned(weight).await.ok();
        let intake = &self.shared.context.intake;
        let ticket = Ticket::new(self.connection.outbox.clone(), rid, units);
        match request {
            Request::Ovum(ovum) => {
                let failed = ovum.clone();
                let told = move |outcome| {
                    report_bail(&failed, &outcome);
                    ticket.tell(outcome);
                };
                intake.plan(ovum, Some(Box::new(told))).await;
            }
            Request::Peek(nom) => {
                let sample = n![n![0u64, 0u64], nom];
                intake
                    .peek(sample, Box::new(move |answer| ticket.tell_peek(answer)))
                    .await;
            }
            Request::Fyrd(card) if self.shared.has_khan() => {
                let ovum = Ovum::new(
                    "k",
                    self.shared.wire(self.number, Some(&name(ticket.rid()))),
                    card,
                );
                let (failed, connection) = (ovum.clone(), self.connection.clone());
                let told = move |outcome| {
                    report_bail(&failed, &outcome);
                    connection.started(ticket, outcome);
                };
                intake.plan(ovum, Some(Box::new(told))).await;
            }
            Request::Fyrd(_) => {
                ticket.hand_on();
                return Err(Refusal::KhanMiss);
            }
            Request::Peel(path) => self.peel(&path, ticket),
            Request::Pack => {
                ticket.answer(Body::Plain(Noun::YES));
                intake.request(driver::Request::Pack);
            }
            Request::Meld => {
                ticket.answer(Body::Plain(Noun::YES));
                intake.request(driver::Request::Meld);
            }
        }
        Ok(())
    }

    fn peel(&self, path: &Noun, ticket: Ticket) {
        let intake = &self.shared.context.intake;
        let plain = |ticket: Ticket, answer: Option<Noun>| ticket.answer(Body::Plain(Noun::unit(answer)));
        let quiz = |ticket: Ticket, kind: &'static str| {
            move |report: Option<Noun>| {
                let report = report.map_or(Noun::ZERO, |report| n!["peel", kind, report]);
                ticket.answer(Body::Plain(report));
            }
        };
        match peel::look_up(path, &self.shared.context, self.shared.has_khan()) {
            Peel::Now(answer) => ticket.answer(Body::Plain(answer)),
            Peel::Live => {
                let told = move |info: driver::PierInfo| plain(ticket, Some(Noun::loob(info.live)));
                intake.request(driver::Request::Info(Box::new(told)));
            }
            Peel::Info => {
                let told = move |info: driver::PierInfo| plain(ticket, Some(peel::mass(&info)));
                intake.request(driver::Request::Info(Box::new(told)));
            }
            Peel::Mass => intake.request(driver::Request::Quac(Box::new(quiz(ticket, "quac")))),
            Peel::Quic => intake.request(driver::Request::Quic(Box::new(quiz(ticket, "quic")))),
        }
    }
}

/// Parses a large request on a thread of its own: others wait for this one's.
async fn parse_aside(body: Vec<u8>) -> Result<Asked, Refusal> {
    // A thread that panicked, or a runtime that ends: the connection ends too.
    tokio::task::spawn_blocking(move || parse(&body))
        .await
        .unwrap_or(Err(Refusal::CueNone))
}

/// A request's name as the wires write it.
fn name(rid: &Noun) -> String {
    text::scot(Aura::Uv, rid).unwrap_or_default()
}

/// The units that a request of so many bytes holds until its answer is written.
fn weight(request: &Request, bytes: usize) -> u32 {
    let least = if matches!(request, Request::Peek(_)) {
        limits::CONN_PEEK_UNITS
    } else {
        1
    };
    let units = u32::try_from(bytes.div_ceil(limits::CONN_UNIT_BYTES)).unwrap_or(u32::MAX);
    units.clamp(least, limits::CONN_UNITS)
}

/// Prints why the kernel refused an event.
pub(super) fn report_bail(ovum: &Ovum, outcome: &Outcome) {
    if let Outcome::Bailed(goofs) = outcome {
        report::bailed("conn", ovum, goofs);
    }
}
