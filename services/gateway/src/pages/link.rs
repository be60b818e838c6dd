//! `/a/{token}`: the page behind a signed link: one alert and one button, without a script. Looking at
//! it changes nothing, since mail programs look into links by themselves; only the button does.

use std::fmt::Write;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use sen_model::oncall::Link;
use sen_model::{
    Act, AlertRecord, AlertState, Changed, CommandOutcome, OnCallAnswer, OnCallAsk, Order,
};
use sha2::{Digest, Sha256};

use super::plain::escape;
use crate::centre::{Centre, Shared, read};
use crate::http::asks;

/// Longest token that is looked at, in characters.
const MOST_TOKEN: usize = 512;

const TOP: &str = r#"<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width"><title>Sen</title>
<style>body{font:18px/1.5 sans-serif;margin:1.5rem;max-width:40rem}
button{font:inherit;font-weight:bold;padding:1rem 2rem;width:100%}
.s1{border-left:.6rem solid #b00020;padding-left:1rem}.s2{border-left:.6rem solid #d35400;padding-left:1rem}
.s3{border-left:.6rem solid #b8860b;padding-left:1rem}.s4{border-left:.6rem solid #1f618d;padding-left:1rem}
.en{color:#555}</style></head><body>
"#;
const BOTTOM: &str = "</body></html>\n";

/// What the page says about the link.
struct Said {
    status: StatusCode,
    vi: String,
    en: String,
    /// Whether there is still something for the button to do.
    may_act: bool,
}

impl Said {
    fn new(status: StatusCode, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self { status, vi: vi.into(), en: en.into(), may_act: false }
    }

    fn unknown() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Liên kết này không đúng hoặc đã hết hạn. Hãy mở danh sách cảnh báo để xác nhận.",
            "This link is not one of ours or has expired. Open the list of alerts instead.",
        )
    }

    /// It was used, and yet nobody has the alert: the alert service did not answer then.
    fn used_in_vain() -> Self {
        let vi = "Nhưng cảnh báo vẫn chưa có ai nhận: hãy bấm nút lần nữa.";
        let en = "But nobody has the alert yet: press the button once more.";
        Self { may_act: true, ..Self::new(StatusCode::OK, vi, en).after_use() }
    }

    /// The same, of a link that was used before.
    fn after_use(self) -> Self {
        Self {
            vi: format!("Liên kết này đã dùng. {}", self.vi),
            en: format!("This link has been used already. {}", self.en),
            ..self
        }
    }

    fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Trung tâm chưa trả lời. Hãy thử lại sau ít phút.",
            "The centre does not answer. Try again in a moment.",
        )
    }
}

/// Shows the alert and the button.
pub(super) async fn show(State(centre): State<Shared>, Path(token): Path<String>) -> Response {
    let link = match look(&centre, &token).await {
        Ok(link) => link,
        Err(said) => return page(&centre, None, Some(&said)),
    };
    let record = newest(&centre, &link);
    let said = match &record {
        Some(record) => match taken(record) {
            Some(said) if link.used => Some(said.after_use()),
            None if link.used => Some(Said::used_in_vain()),
            said => said,
        },
        None => Some(Said::unavailable()),
    };
    page(&centre, record.as_ref(), said.as_ref())
}

/// Uses the link: its person acknowledges the alert.
pub(super) async fn redeem(State(centre): State<Shared>, Path(token): Path<String>) -> Response {
    if token.len() > MOST_TOKEN {
        return page(&centre, None, Some(&Said::unknown()));
    }
    let question = OnCallAsk::Redeem { token: token.clone(), at: centre.now() };
    let link = match asks::ask(&centre.ports.oncall, question, "notify").await {
        Ok(OnCallAnswer::Link(link)) => link,
        Ok(OnCallAnswer::Unknown) => return page(&centre, None, Some(&Said::unknown())),
        // Its use could not be noted, so nothing was done.
        Ok(OnCallAnswer::Refused(why)) => {
            let said = Said::new(StatusCode::SERVICE_UNAVAILABLE, why.vi, why.en);
            return page(&centre, None, Some(&said));
        }
        Ok(_) | Err(_) => return page(&centre, None, Some(&Said::unavailable())),
    };
    let told = |said: Said| if link.used { said.after_use() } else { said };
    let before = newest(&centre, &link);
    if let Some(said) = before.as_ref().and_then(taken).map(told) {
        return page(&centre, before.as_ref(), Some(&said));
    }
    // Also with a link that was used before: if the alert service did not answer then, nobody has
    // the alert. The key is the token's own, so that nothing is done twice.
    let (record, said) = acknowledge(&centre, &token, &link).await;
    page(&centre, record.or(before).as_ref(), Some(&said))
}

async fn look(centre: &Centre, token: &str) -> Result<Link, Said> {
    if token.len() > MOST_TOKEN {
        return Err(Said::unknown());
    }
    let question = OnCallAsk::Look { token: token.to_owned() };
    match asks::ask(&centre.ports.oncall, question, "notify").await {
        Ok(OnCallAnswer::Link(link)) if link.until > centre.now() => Ok(link),
        Ok(_) => Err(Said::unknown()),
        Err(_) => Err(Said::unavailable()),
    }
}

fn newest(centre: &Centre, link: &Link) -> Option<AlertRecord> {
    read(&centre.alerts).get(&link.alert).map(|held| held.record.as_ref().clone())
}

/// What there is to say where nobody needs to act any more.
fn taken(record: &AlertRecord) -> Option<Said> {
    if let Some(acknowledgement) = &record.acknowledgement {
        let (by, at) = (&acknowledgement.by, acknowledgement.at);
        let vi = format!("{by} đã nhận cảnh báo này lúc {at}.");
        return Some(Said::new(StatusCode::OK, vi, format!("{by} has this alert since {at}.")));
    }
    (record.state == AlertState::Normal).then(|| {
        let vi = "Cảnh báo này đã kết thúc, không cần xác nhận nữa.";
        Said::new(StatusCode::OK, vi, "This alert is over; nothing is left to do.")
    })
}

async fn acknowledge(centre: &Centre, token: &str, link: &Link) -> (Option<AlertRecord>, Said) {
    let digest = Sha256::digest(format!("link {token}"));
    let key: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    let order = Order::Alert {
        alert: link.alert.clone(),
        expected_rev: None,
        act: Act::Acknowledge { note: String::new() },
    };
    let asked = asks::command(centre, format!("link-{key}"), link.person.clone(), order).await;
    match asked {
        Ok(CommandOutcome::Done(Changed::Alert(record))) => {
            let by = record.acknowledgement.as_ref().map_or(&link.person, |one| &one.by);
            let said = if *by == link.person {
                let vi = format!("Đã ghi nhận: {by} nhận cảnh báo này.");
                Said::new(StatusCode::OK, vi, format!("Done: {by} has this alert."))
            } else {
                taken(&record).unwrap_or_else(Said::unavailable)
            };
            (Some(*record), said)
        }
        Ok(CommandOutcome::Stale(record) | CommandOutcome::Over(record)) => {
            let said = taken(&record).unwrap_or_else(Said::unavailable);
            (Some(*record), said)
        }
        Ok(CommandOutcome::Refused(why)) => (None, Said::new(StatusCode::CONFLICT, why.vi, why.en)),
        Ok(CommandOutcome::Unknown | CommandOutcome::KeyReused) => (None, Said::unknown()),
        Ok(CommandOutcome::Done(_)) | Err(_) => (None, Said::unavailable()),
    }
}

/// Where it is, as people call it.
fn place(centre: &Centre, record: &AlertRecord) -> String {
    let registry = &centre.ports.registry;
    let device = registry.device(&record.device).map(|device| device.name.vi.as_str());
    let area = record.area.as_ref().and_then(|code| registry.area(code));
    let names =
        [Some(device.unwrap_or(record.device.as_str())), area.map(|place| place.name.vi.as_str())];
    names.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn state(state: AlertState) -> &'static str {
    match state {
        AlertState::Unacknowledged => "Chưa xác nhận / not acknowledged",
        AlertState::Acknowledged => "Đã xác nhận / acknowledged",
        AlertState::ReturnedUnacknowledged => "Hết nhưng chưa xác nhận / over, not acknowledged",
        AlertState::Latched => "Hết, chờ đặt lại / over, waits for a reset",
        AlertState::Normal => "Đã hết / over",
    }
}

/// The page: the alert, if it is known, what there is to say, and the button if it can do anything.
fn page(centre: &Centre, record: Option<&AlertRecord>, said: Option<&Said>) -> Response {
    let mut page = String::from(TOP);
    if let Some(record) = record {
        let _ = write!(
            page,
            "<div class=\"s{}\"><p><strong>Mức {} / severity {}</strong>{}</p><h1>{}</h1>\
             <p class=\"en\">{}</p><p>{} · {}</p><p>{}</p></div>",
            record.severity.level(),
            record.severity.level(),
            record.severity.level(),
            if record.drill { " · <strong>DIỄN TẬP / DRILL</strong>" } else { "" },
            escape(&record.text.vi),
            escape(&record.text.en),
            escape(&place(centre, record)),
            record.started_at,
            state(record.state),
        );
    }
    if let Some(said) = said {
        let _ = write!(page, "<p>{}</p><p class=\"en\">{}</p>", escape(&said.vi), escape(&said.en));
    }
    if said.is_none_or(|said| said.may_act) {
        // Without an action the form goes to the address of the page itself.
        page.push_str(
            "<form method=\"post\"><button>TÔI NHẬN / I TAKE IT</button></form>\
             <p>Bấm nút để xác nhận bạn sẽ xử lý cảnh báo này.</p>\
             <p class=\"en\">Press the button to say that you see to this alert.</p>",
        );
    }
    page.push_str(BOTTOM);
    (said.map_or(StatusCode::OK, |said| said.status), Html(page)).into_response()
}
