//! The wall clock is set while messages wait: nothing is held for an hour, nothing is given up.

use std::time::Duration;

use sen_chassis::Clock;
use sen_model::{DeliveryState, Severity};

use crate::harness::Centre;
use crate::harness::web::{Treatment, Web};
use crate::webhooks::plan;

#[tokio::test]
async fn a_clock_that_is_set_neither_holds_a_message_nor_ends_it() {
    for set_by in [-3_600_000, 3_600_000] {
        let first = Web::new(&[Treatment::Answer(503, "")]).await;
        let second = Web::new(&[]).await;
        let mut centre = Centre::new();
        centre.clock = Clock::manual(Clock::system().now_ms());
        let quick = sen_notify::Config { give_up_ms: 600_000, ..crate::harness::config() };
        let running = centre.run_with(&plan(&first, &second, "10m"), quick);
        centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
        first.requests(1).await;
        centre.clock.set_ms(centre.clock.now_ms() + set_by);
        let mut delivered = std::pin::pin!(centre.delivery("first", DeliveryState::Delivered));
        let delivered = loop {
            let turn = tokio::time::timeout(Duration::from_millis(20), delivered.as_mut()).await;
            if let Ok(delivered) = turn {
                break delivered;
            }
            centre.clock.set_ms(centre.clock.now_ms() + 20);
        };
        assert_eq!(delivered.attempts, 2);
        running.stop().await;
        assert!(second.so_far().is_empty(), "the step waits for its answer as before");
        assert!(centre.delivered().await.iter().all(|d| d.state != DeliveryState::Failed));
    }
}
