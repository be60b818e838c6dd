//! Questions to the service, answered.

use std::sync::Arc;

use sen_log::AppendError;
use sen_model::oncall::Link;
use sen_model::{OnCallAnswer, OnCallAsk, OnCallEntry, OnCallRecord, Text};

use tokio::sync::oneshot;

use super::People;
use crate::link::Claim;
use crate::notes::{Decision, link_id};
use crate::roster::Rota;

/// Rosters that are worked out at a time.
const MOST_ROSTERS: usize = 4;

impl People {
    /// Answers one question; what it changes is durable before that.
    pub(super) async fn answer(&mut self, ask: OnCallAsk, reply: oneshot::Sender<OnCallAnswer>) {
        let answer = match ask {
            OnCallAsk::Roster if self.rosters.len() < MOST_ROSTERS => return self.draw_up(reply),
            OnCallAsk::Roster => OnCallAnswer::Refused(Text::new(
                "Đang có quá nhiều yêu cầu xem lịch trực, hãy thử lại.",
                "Too many ask for the roster at once: try again.",
            )),
            OnCallAsk::Change { idempotency_key, by, at, entry } => {
                let on = &self.terms.on;
                let decision = self.notes.change(on, &idempotency_key, by, at, entry);
                self.carry_out(decision).await
            }
            OnCallAsk::Cancel { id, by, at } => {
                let decision = self.notes.cancel(&self.terms.on, &id, &by, at);
                self.carry_out(decision).await
            }
            OnCallAsk::PushKey if self.terms.on.push.is_none() => OnCallAnswer::Refused(Text::new(
                "Chưa cấu hình thông báo đẩy.",
                "Push messages are not set up.",
            )),
            OnCallAsk::PushKey => OnCallAnswer::PushKey(self.terms.push_key.clone()),
            OnCallAsk::Look { token } => match self.terms.seal.claim(&token, self.now()) {
                Some(claim) => self.link(&claim),
                None => OnCallAnswer::Unknown,
            },
            OnCallAsk::Redeem { token, at } => match self.terms.seal.claim(&token, at) {
                Some(claim) => self.redeem(claim, at).await,
                None => OnCallAnswer::Unknown,
            },
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }

    /// A roster over many entries takes a while, in which nobody would be called: it is worked out
    /// elsewhere.
    fn draw_up(&mut self, reply: oneshot::Sender<OnCallAnswer>) {
        let (on, at) = (Arc::clone(&self.terms.on), self.now());
        let open = self.told_notes.borrow().clone();
        self.rosters.spawn("roster", async move {
            let work = move || Rota { on: &on, entries: &open }.roster(at);
            if let Ok(roster) = tokio::task::spawn_blocking(work).await {
                let _ = reply.send(OnCallAnswer::Roster(Box::new(roster)));
            }
            Ok(())
        });
    }

    fn link(&self, claim: &Claim) -> OnCallAnswer {
        OnCallAnswer::Link(Link {
            alert: claim.alert.clone(),
            person: claim.person.clone(),
            until: claim.until,
            used: self.notes.is_redeemed(&claim.delivery),
        })
    }

    async fn redeem(&mut self, claim: Claim, at: sen_model::Timestamp) -> OnCallAnswer {
        let answer = self.link(&claim);
        if self.notes.is_redeemed(&claim.delivery) {
            return answer;
        }
        let record = OnCallRecord {
            id: link_id(&claim.delivery),
            rev: 1,
            open: true,
            by: claim.person.clone(),
            at,
            entry: OnCallEntry::Redeemed { alert: claim.alert, person: claim.person },
        };
        match self.carry_out(Decision::Write(vec![record])).await {
            OnCallAnswer::Changed(_) => answer,
            other => other,
        }
    }

    async fn carry_out(&mut self, decision: Decision) -> OnCallAnswer {
        let records = match decision {
            Decision::Answer(answer) => return answer,
            Decision::Write(records) => records,
        };
        let Some(first) = records.first().cloned() else { return OnCallAnswer::Unknown };
        if self.note(records).await {
            return OnCallAnswer::Changed(Box::new(first));
        }
        OnCallAnswer::Refused(Text::new(
            "Chưa ghi được vào nhật ký, hãy thử lại.",
            "It cannot be written to the log now: try again.",
        ))
    }

    /// Writes records of the on-call log; they count when they are durable.
    pub(super) async fn note(&mut self, records: Vec<OnCallRecord>) -> bool {
        if records.is_empty() {
            return true;
        }
        match self.wires.oncall.append(records.clone()).await {
            Ok(offsets) => {
                self.notes_next = offsets.end;
                records.iter().for_each(|record| self.notes.fold(record));
                self.publish_notes();
                true
            }
            Err(error) => {
                if matches!(error, AppendError::Fenced(_)) {
                    self.fenced = Some(error.clone());
                }
                tracing::error!(%error, "the on-call log takes nothing");
                false
            }
        }
    }
}
