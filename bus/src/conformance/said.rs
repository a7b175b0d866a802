//! Cases of what is said to those who listen: renewals with their answers, announcements, and who hears which hosts.

use std::sync::Arc;

use futures_util::future::{join, join3};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};

use super::{build, pool};
use crate::{Announcement, Bus, Host, Presence, RenewError, Renewal, RenewalRequest, Verdict};

fn renewal() -> Renewal {
    Renewal {
        build: build("app:1"),
        attempt: 3,
        worker: "w".parse().expect("a worker of this suite"),
    }
}

async fn server(bus: &Arc<dyn Bus>) -> BoxStream<'static, RenewalRequest> {
    bus.renewals().await.expect("one can listen")
}

async fn answer(server: &mut BoxStream<'static, RenewalRequest>, verdict: Verdict) -> Renewal {
    let request = server.next().await.expect("renewals do not end");
    let renewal = request.renewal.clone();
    request.answer(verdict).await.expect("it can be answered");
    renewal
}

pub(super) async fn a_renewal_is_answered(bus: Arc<dyn Bus>) {
    let mut server = server(&bus).await;
    for verdict in [Verdict::Go, Verdict::Lost] {
        let answering = answer(&mut server, verdict.clone());
        let (said, heard) = join(bus.renew(renewal()), answering).await;
        assert_eq!(said.expect("it is answered"), verdict);
        assert_eq!(heard, renewal());
    }
}

pub(super) async fn a_stop_comes_with_its_reason(bus: Arc<dyn Bus>) {
    let mut server = server(&bus).await;
    // Longer than a reason may be, and cut inside of a character.
    let reason = format!("x{}", "ü".repeat(crate::REASON_BYTES_MAX));
    let answering = answer(&mut server, Verdict::Stop { reason });
    let (said, _) = join(bus.renew(renewal()), answering).await;
    let Ok(Verdict::Stop { reason }) = said else {
        panic!("{said:?}");
    };
    assert_eq!(reason.len(), crate::REASON_BYTES_MAX - 1);
}

pub(super) async fn every_server_hears_every_renewal_and_the_first_answer_counts(
    bus: Arc<dyn Bus>,
) {
    let mut first = server(&bus).await;
    let mut second = server(&bus).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let answering = async {
        answer(&mut first, Verdict::Go).await;
        tell.send(()).expect("the other waits");
    };
    let late = async {
        told.await.expect("the first answers");
        answer(&mut second, Verdict::Lost).await
    };
    let (said, (), heard) = join3(bus.renew(renewal()), answering, late).await;
    assert_eq!(said.expect("it is answered"), Verdict::Go);
    assert_eq!(heard, renewal());
}

pub(super) async fn a_renewal_without_a_server_is_unheard(bus: Arc<dyn Bus>) {
    let said = bus.renew(renewal()).await;
    assert!(matches!(said, Err(RenewError::Unheard)), "{said:?}");
}

pub(super) async fn a_renewal_that_nobody_answers_is_unheard(bus: Arc<dyn Bus>) {
    let mut server = server(&bus).await;
    let hearing = server.next().map(|heard| {
        // Kept, it could still be answered; dropped, it never is.
        drop(heard.expect("renewals do not end"));
    });
    let (said, ()) = join(bus.renew(renewal()), hearing).await;
    assert!(matches!(said, Err(RenewError::Unheard)), "{said:?}");
    // The next one is as good as ever, and a late answer to the last does not answer it.
    let late = async {
        let held = server.next().await.expect("renewals do not end");
        let again = server.next().await.expect("renewals do not end");
        held.answer(Verdict::Lost).await.expect("it can be said");
        again.answer(Verdict::Go).await.expect("it can be said");
    };
    let renewing = async {
        let first = bus.renew(renewal()).await;
        assert!(matches!(first, Err(RenewError::Unheard)), "{first:?}");
        bus.renew(renewal()).await.expect("it is answered")
    };
    let (said, ()) = join(renewing, late).await;
    assert_eq!(said, Verdict::Go);
}

pub(super) async fn announcements_reach_all_who_listen(bus: Arc<dyn Bus>) {
    let announcement = |slots_free| Announcement {
        worker: renewal().worker,
        pool: pool("p"),
        slots_free,
        slots: 4,
        version: "0.1.0".into(),
    };
    let said = bus.announce(announcement(4)).await;
    said.expect("nobody has to listen");
    let first = bus.announcements().await.expect("one can listen");
    let second = bus.announcements().await.expect("one can listen");
    for slots_free in [3, 2] {
        let said = bus.announce(announcement(slots_free)).await;
        said.expect("it can be said");
    }
    for listener in [first, second] {
        let heard: Vec<_> = listener.take(2).collect().await;
        assert_eq!(heard, [announcement(3), announcement(2)]);
    }
}

pub(super) async fn who_is_there_is_heard_by_every_server_and_by_the_one_that_says_it(
    bus: Arc<dyn Bus>,
) {
    let host = |number| {
        let name = format!("host-{number}");
        name.parse::<Host>().expect("a host of this suite")
    };
    let hosts = || (0..500).map(host);
    let all = |by| Presence::of(by, hosts());
    let first = bus.presences().await.expect("one can listen");
    let second = bus.presences().await.expect("one can listen");
    let mut expected = Vec::new();
    for by in [1, 2] {
        for presence in all(by) {
            let said = bus.tell_presence(presence.clone()).await;
            said.expect("it can be said");
            expected.push(presence);
        }
    }
    for listener in [first, second] {
        let heard: Vec<_> = listener.take(expected.len()).collect().await;
        assert_eq!(heard, expected);
    }
}
