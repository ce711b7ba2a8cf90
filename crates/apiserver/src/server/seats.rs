//! Requests take a seat, wait for one, or are sent away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fairness::{Arrival, Queues, Ticket};
use super::limits::{LIMITS, Pool, Reached};

/// A pool of seats that requests share.
#[derive(Debug)]
pub(super) struct Seats {
    state: Mutex<State>,
    /// Counted when a request is sent away.
    full: Reached,
}

#[derive(Debug)]
struct State {
    queues: Queues,
    waiting: HashMap<Ticket, oneshot::Sender<Seat>>,
    next: Ticket,
}

/// Somebody's place, which is given on when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    user: String,
}

/// There is no room, and the client should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Seats {
    pub(super) fn new(limits: Pool, full: Reached) -> Arc<Seats> {
        let state = State { queues: Queues::new(limits), waiting: HashMap::new(), next: 0 };
        Arc::new(Seats { state: Mutex::new(state), full })
    }

    pub(super) async fn take(self: &Arc<Seats>, user: &str) -> Result<Seat, Full> {
        let (ticket, called) = {
            let mut state = self.lock();
            let ticket = state.next;
            state.next += 1;
            match state.queues.arrive(user, ticket) {
                Arrival::Run => return Ok(self.seat(user)),
                Arrival::Refuse => {
                    self.full.count();
                    return Err(Full);
                }
                Arrival::Wait => {
                    let (call, called) = oneshot::channel();
                    state.waiting.insert(ticket, call);
                    (ticket, called)
                }
            }
        };
        // Also when the client is gone and this future with it.
        let _given_up = GivenUp { seats: self, user, ticket };
        if let Ok(Ok(seat)) = timeout(LIMITS.waiting_time, called).await {
            return Ok(seat);
        }
        Reached::WaitingTime.count();
        Err(Full)
    }

    /// How many requests are worked on, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queues.running(), state.queues.waiting())
    }

    fn seat(self: &Arc<Seats>, user: &str) -> Seat {
        Seat { seats: Arc::clone(self), user: user.to_owned() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let next = {
            let mut state = self.seats.lock();
            let next = state.queues.leave(&self.user);
            next.and_then(|(user, ticket)| Some((user, state.waiting.remove(&ticket)?)))
        };
        if let Some((user, call)) = next {
            // Who is gone without having heard gives the seat on, which is why nothing is locked here.
            drop(call.send(self.seats.seat(&user)));
        }
    }
}

struct GivenUp<'a> {
    seats: &'a Seats,
    user: &'a str,
    ticket: Ticket,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let mut state = self.seats.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.queues.cancel(self.user, self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn seats(seats: usize, waiting: usize) -> Arc<Seats> {
        let pool = Pool { seats, seats_per_user: seats, waiting, waiting_per_user: waiting };
        Seats::new(pool, Reached::SeatsLight)
    }

    #[tokio::test]
    async fn a_seat_is_given_on_and_nobody_waits_without_end() {
        let seats = seats(1, 1);
        let first = seats.take("a").await.unwrap();
        let waiting = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take("b").await }
        });
        while seats.counts() != (1, 1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(seats.take("c").await.unwrap_err(), Full);
        drop(first);
        let second = waiting.await.unwrap().unwrap();
        assert_eq!(seats.counts(), (1, 0));
        drop(second);
        assert_eq!(seats.counts(), (0, 0));
    }

    #[tokio::test]
    async fn who_is_gone_takes_no_seat() {
        let seats = seats(1, 4);
        let first = seats.take("a").await.unwrap();
        {
            let mut waiting = std::pin::pin!(seats.take("b"));
            assert!(waiting.as_mut().now_or_never().is_none());
            assert_eq!(seats.counts(), (1, 1));
        }
        assert_eq!(seats.counts(), (1, 0));
        // Called, and gone before it heard.
        {
            let mut waiting = std::pin::pin!(seats.take("b"));
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(first);
            assert_eq!(seats.counts(), (1, 0));
        }
        assert_eq!(seats.counts(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_sent_away() {
        let seats = seats(1, 1);
        let _first = seats.take("a").await.unwrap();
        assert_eq!(seats.take("b").await.unwrap_err(), Full);
        assert_eq!(seats.counts(), (1, 0));
    }
}
