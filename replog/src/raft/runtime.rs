//! openraft's runtime: tokio, but for sleeps too short for it.
//!
//! openraft's task that hears of finished writes pauses for a microsecond between two of them, to take several at a time. Tokio's
//! clock ticks in milliseconds, so that each such pause would cost one or two of these, and every group of commits with it.

use futures::future::Either;
use openraft::{AsyncRuntime, Instant as _, OptionalSend};
use openraft_rt_tokio::TokioRuntime;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// A sleep below this only lets other tasks go first. No more than that pause: openraft's ticks are due at fixed instants, and its loop, where
/// it is woken before one (as after the process was stopped), sends a tick at once and sleeps again for what is left. If that
/// were cut short it would send ticks without end until the instant has come.
const TOO_SHORT: Duration = Duration::from_micros(2);

/// The runtime.
#[derive(Debug)]
pub(crate) struct RaftRuntime(TokioRuntime);

/// Lets other tasks go first, once.
#[derive(Debug, Default)]
pub(crate) struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

type Of<T> = <T as AsyncRuntime>::Instant;

impl AsyncRuntime for RaftRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = Either<Yield, <TokioRuntime as AsyncRuntime>::Sleep>;
    type Instant = Of<TokioRuntime>;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        if duration < TOO_SHORT {
            Either::Left(Yield::default())
        } else {
            Either::Right(TokioRuntime::sleep(duration))
        }
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let left = deadline.saturating_duration_since(Self::Instant::now());
        if left < TOO_SHORT {
            Either::Left(Yield::default())
        } else {
            Either::Right(TokioRuntime::sleep_until(deadline))
        }
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        RaftRuntime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_short_for_tokio_only_lets_others_go_first() {
        let soon = Of::<TokioRuntime>::now() + Duration::from_micros(1);
        assert!(matches!(RaftRuntime::sleep_until(soon), Either::Left(_)));
        assert!(matches!(
            RaftRuntime::sleep(Duration::from_nanos(1)),
            Either::Left(_)
        ));
        let mut yielding = std::pin::pin!(Yield::default());
        assert!(futures::poll!(yielding.as_mut()).is_pending());
        assert!(futures::poll!(yielding).is_ready());
    }

    #[tokio::test]
    async fn what_is_left_until_a_tick_is_slept_whole() {
        let tick = Of::<TokioRuntime>::now() + Duration::from_micros(400);
        RaftRuntime::sleep_until(tick).await;
        assert!(Of::<TokioRuntime>::now() >= tick);
    }

    #[tokio::test]
    async fn longer_sleeps_last() {
        let later = Of::<TokioRuntime>::now() + Duration::from_secs(1);
        assert!(matches!(RaftRuntime::sleep_until(later), Either::Right(_)));
        assert!(matches!(
            RaftRuntime::sleep(Duration::from_millis(5)),
            Either::Right(_)
        ));
    }
}
