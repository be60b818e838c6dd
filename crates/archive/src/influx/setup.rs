//! Health of InfluxDB, and its bucket, at start.
//!
//! `influxdb2` reads these answers without a bound on their length; they are short, come from the
//! operator's own server, and end with the time limit.

use std::time::Duration;

use influxdb2::RequestError;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::models::health::Status;
use influxdb2::models::retention_rule::{RetentionRule, Type};
use influxdb2::models::{Bucket, PostBucketRequest};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::Influx;
use crate::Prepared;
use crate::error::ArchiveError;
use crate::http::{Token, ask, builder, unreachable};

/// Seconds in a day.
const DAY_S: i32 = 86_400;

/// The client of the management calls. (It panics on an address that is none: ours has been read.)
pub(super) fn management(
    base: &Url,
    org: &str,
    token: Option<&Token>,
    timeout: Duration,
) -> Result<influxdb2::Client, ArchiveError> {
    let token = token.map(Token::expose).unwrap_or_default();
    influxdb2::ClientBuilder::with_builder(builder(timeout), base.as_str(), org, token)
        .build()
        .map_err(|error| ArchiveError::Answer(error.to_string()))
}

impl Influx {
    /// Asks for health, then makes the bucket or its retention what it should be.
    pub(super) async fn set_up(&self) -> Result<Prepared, ArchiveError> {
        let health = self.management.health().await.map_err(fault)?;
        if health.status != Status::Pass {
            let text = health.message.unwrap_or_default();
            return Err(ArchiveError::Failed { status: 503, text });
        }
        let mut warnings = Vec::new();
        match self.find_bucket().await? {
            Some(bucket) => self.keep_for(&bucket, &mut warnings).await?,
            None => self.create_bucket(&mut warnings).await?,
        }
        Ok(Prepared { version: health.version, warnings })
    }

    async fn find_bucket(&self) -> Result<Option<Bucket>, ArchiveError> {
        let request = ListBucketsRequest {
            name: Some(self.bucket.clone()),
            org: Some(self.org.clone()),
            ..ListBucketsRequest::default()
        };
        match self.management.list_buckets(Some(request)).await.map_err(fault) {
            Ok(found) => Ok(found.buckets.into_iter().find(|bucket| bucket.name == self.bucket)),
            // An unknown bucket is said so; so is an unknown organisation, which comes out next.
            Err(ArchiveError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_bucket(&self, warnings: &mut Vec<String>) -> Result<(), ArchiveError> {
        let request = ListOrganizationRequest {
            org: Some(self.org.clone()),
            ..ListOrganizationRequest::default()
        };
        let found = self.management.list_organizations(request).await.map_err(fault)?;
        let org = found.orgs.into_iter().find(|org| org.name == self.org).and_then(|org| org.id);
        let Some(org_id) = org else {
            let text = format!("no organisation `{}`", self.org);
            return Err(ArchiveError::NotFound { text });
        };
        let request = PostBucketRequest {
            retention_rules: self.rules(),
            ..PostBucketRequest::new(org_id, self.bucket.clone())
        };
        self.management.create_bucket(Some(request)).await.map_err(fault)?;
        warnings.push(format!("the bucket `{}` was missing and has been made", self.bucket));
        Ok(())
    }

    /// Corrects how long the bucket keeps its points, where somebody has said how long.
    async fn keep_for(
        &self,
        bucket: &Bucket,
        warnings: &mut Vec<String>,
    ) -> Result<(), ArchiveError> {
        let Some(wanted) = self.wanted_s() else { return Ok(()) };
        let is = bucket.retention_rules.first().map_or(0, |rule| rule.every_seconds);
        if is == wanted {
            return Ok(());
        }
        let id = bucket.id.as_deref().unwrap_or_default();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ArchiveError::Answer("a bucket without an id".into()));
        }
        let body = json!({"retentionRules": [{"type": "expire", "everySeconds": wanted}]});
        let request = self.http.patch(&format!("api/v2/buckets/{id}"))?;
        ask(request.header(CONTENT_TYPE, "application/json").body(body.to_string())).await?;
        let name = &self.bucket;
        warnings.push(format!("the bucket `{name}` kept points for {is} s, now for {wanted} s"));
        Ok(())
    }

    fn rules(&self) -> Vec<RetentionRule> {
        self.wanted_s()
            .map(|seconds| RetentionRule::new(Type::Expire, seconds))
            .into_iter()
            .collect()
    }

    /// How long to keep points, in seconds; 0 is for ever.
    fn wanted_s(&self) -> Option<i32> {
        let days = self.retention_days?;
        Some(i32::try_from(days).unwrap_or(i32::MAX).saturating_mul(DAY_S))
    }
}

/// An error of `influxdb2` in our words.
fn fault(error: RequestError) -> ArchiveError {
    match error {
        RequestError::ReqwestProcessing { source } if source.is_decode() => {
            ArchiveError::Answer("it is not that of InfluxDB 2".into())
        }
        RequestError::ReqwestProcessing { source } => unreachable(source),
        RequestError::Http { status, text } => {
            ArchiveError::of_status(status.as_u16(), None, text.as_bytes())
        }
        other => ArchiveError::Answer(other.to_string()),
    }
}
