//! Append requests on their way to a follower: written as they come, answered in order, both at the same time.
//!
//! Two things are done here that are not in the protocol:
//!
//! - A request that only tells of a commit waits for a moment: most often the next entries follow, and tell of it as well. With one
//!   event after the other that halves the messages.
//! - An answer is kept from openraft while a later request with the same last entry is unanswered (which only a commit's is). openraft
//!   takes an answer for one to all requests up to that entry, and would think that the follower had heard the later ones too, at the time
//!   when they were sent: a leader that was stopped for long, and finds an old answer when it goes on, must not take it for a new one.

use crate::{
    net::{
        connection::LinkError,
        limits::{APPENDS_IN_FLIGHT, COMMIT_LINGER, READ_BUFFER_BYTES, SEND_BACKLOG_BYTES, SILENCE},
        link::{Link, rpc_error},
        wire::{self, AppendAnswer, WireError, kind},
    },
    raft::config::{LogId, TypeConfig},
};
use futures::{Stream, StreamExt};
use openraft::{
    entry::RaftEntry,
    errors::RPCError,
    raft::{AppendEntriesRequest, StreamAppendResult},
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

type Request = AppendEntriesRequest<TypeConfig>;

/// A stream of requests to one follower.
pub(super) struct Appending<'s, S> {
    link: &'s mut Link,
    input: Option<S>,
    /// The last entries of the requests that are unanswered, oldest first.
    due: VecDeque<Option<LogId>>,
    /// The last entry sent in this stream; None before the first request.
    sent: Option<Option<LogId>>,
    /// A commit that waits for entries to go with.
    held: Option<Request>,
    linger: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
}

fn last(request: &Request) -> Option<LogId> {
    request
        .entries
        .last()
        .map(RaftEntry::log_id)
        .or(request.prev_log_id)
}

impl<'s, S> Appending<'s, S>
where
    S: Stream<Item = Request> + Unpin,
{
    pub(super) fn new(link: &'s mut Link, input: S) -> Self {
        let timer = || Box::pin(sleep_until(Instant::now()));
        Appending {
            link,
            input: Some(input),
            due: VecDeque::new(),
            sent: None,
            held: None,
            linger: timer(),
            silence: timer(),
        }
    }

    /// The next answer; None when all requests are answered and no more come, or after an answer that ends the stream.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>> {
        let answer = match self.poll_link(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(None)) => return Poll::Ready(None),
            Poll::Ready(Ok(Some(result))) => {
                if result.is_err() {
                    // The other side ends its stream there as well.
                    self.end();
                }
                Ok(result)
            }
            Poll::Ready(Err(error)) => {
                self.end();
                Err(rpc_error(self.link, &error))
            }
        };
        Poll::Ready(Some(answer))
    }

    fn end(&mut self) {
        self.input = None;
        self.link.connection = None;
        self.due.clear();
        self.held = None;
    }

    fn poll_link(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<StreamAppendResult<TypeConfig>>, LinkError>> {
        // Answers first: they make commits.
        if let Poll::Ready(result) = self.poll_reader(cx)? {
            return Poll::Ready(Ok(result));
        }
        self.poll_requests(cx)?;
        if self.due.is_empty() {
            let ended = self.input.is_none() && self.held.is_none();
            return if ended {
                Poll::Ready(Ok(None))
            } else {
                Poll::Pending
            };
        }
        // An answer is due: the other side must at least say that it is alive.
        let Some(connection) = &self.link.connection else {
            return Poll::Ready(Ok(None));
        };
        let deadline = connection.reader.heard() + SILENCE;
        if self.silence.deadline() != deadline {
            self.silence.as_mut().reset(deadline);
        }
        match self.silence.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(LinkError::Silent(SILENCE))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads answers up to one that openraft is to have.
    fn poll_reader(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<StreamAppendResult<TypeConfig>>, LinkError>> {
        loop {
            let Some(connection) = &mut self.link.connection else {
                return Poll::Ready(Ok(None));
            };
            let Poll::Ready(message) = connection.reader.poll_message(cx)? else {
                return Poll::Pending;
            };
            let message = message.ok_or(LinkError::Closed)?;
            if message.kind == kind::ALIVE {
                continue;
            }
            let answer: AppendAnswer =
                wire::read(&message, kind::APPENDED, "an answer to an append request")?;
            let expected = self.due.pop_front();
            if let AppendAnswer::Stored(stored) = &answer
                && expected != Some(*stored)
            {
                return Poll::Ready(Err(LinkError::Wire(WireError::Append(
                    "was answered by another one's answer",
                ))));
            }
            if expected.is_none() {
                let (found, expected) = (message.kind, "no answer at all");
                return Poll::Ready(Err(LinkError::Wire(WireError::Kind { found, expected })));
            }
            let kept =
                matches!(answer, AppendAnswer::Stored(_)) && self.is_last_still_due(expected.flatten());
            let result = self.link.judge(answer)?;
            if !kept {
                return Poll::Ready(Ok(Some(result)));
            }
        }
    }

    /// Whether a later request that ends with the same entry is unanswered.
    fn is_last_still_due(&self, stored: Option<LogId>) -> bool {
        self.due.front() == Some(&stored)
            || (self.due.is_empty() && self.held.as_ref().is_some_and(|held| last(held) == stored))
    }

    /// Takes requests and sends them, as long as the socket takes them.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        loop {
            let mut more = false;
            while self.due.len() < APPENDS_IN_FLIGHT && self.backlog() < SEND_BACKLOG_BYTES {
                let Some(input) = &mut self.input else { break };
                match input.poll_next_unpin(cx) {
                    Poll::Pending => break,
                    Poll::Ready(None) => self.input = None,
                    Poll::Ready(Some(request)) => {
                        self.take(request);
                        more = true;
                    }
                }
                if self.backlog() >= READ_BUFFER_BYTES {
                    break;
                }
            }
            if self.held.is_some() && (self.input.is_none() || self.linger.as_mut().poll(cx).is_ready()) {
                self.send_held();
            }
            let Some(connection) = &mut self.link.connection else {
                return Ok(());
            };
            let flushed = connection.writer.poll_flush(cx)?.is_ready();
            if !more || !flushed {
                return Ok(());
            }
        }
    }

    fn backlog(&self) -> usize {
        self.link
            .connection
            .as_ref()
            .map_or(0, |connection| connection.writer.encoder.backlog())
    }

    fn take(&mut self, request: Request) {
        let only_commit = request.entries.is_empty() && self.sent == Some(request.prev_log_id);
        if only_commit {
            if self.held.is_none() {
                self.linger.as_mut().reset(Instant::now() + COMMIT_LINGER);
            }
            self.held = Some(request);
        } else {
            // It tells of at least what the held one would have told.
            self.held = None;
            self.send(&request);
        }
    }

    fn send_held(&mut self) {
        if let Some(request) = self.held.take() {
            self.send(&request);
        }
    }

    fn send(&mut self, request: &Request) {
        let Some(connection) = &mut self.link.connection else {
            return;
        };
        if self.due.is_empty() {
            connection.reader.expect_from_now();
        }
        wire::push_append(&mut connection.writer.encoder, request);
        self.link.term = request.vote.leader_id.term;
        self.sent = Some(last(request));
        self.due.push_back(last(request));
    }
}

impl<S> Drop for Appending<'_, S> {
    fn drop(&mut self) {
        self.link.owed = !self.due.is_empty();
    }
}
