//! Query parameters: pages and filters. Unknown ones are ignored; of a repeated one the last counts.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use lakehead_model::Invalid;

use super::ApiError;
use crate::control::Filter;

const PER_PAGE_DEFAULT: u64 = 20;

/// The parameters of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(pairs)| Params(pairs))
            .map_err(|_| Invalid::new("query", "cannot be read").into())
    }
}

/// A page of a list, both numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) page: u64,
    pub(super) per_page: u64,
}

impl Params {
    /// The last value of `name`, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    pub(super) fn page(&self) -> Result<Page, Invalid> {
        let number = |name, default| self.text(name).map_or(Ok(default), |text| count(name, text));
        Ok(Page { page: number("page", 1)?, per_page: number("per_page", PER_PAGE_DEFAULT)? })
    }

    pub(super) fn filter(&self) -> Filter {
        let text = |name| self.text(name).map(str::to_owned);
        Filter { name: text("name"), pipeline_id: text("pipeline_id") }
    }
}

/// A count from 1, also as `1.0`, which some clients write.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, positive; `as` saturates"
)]
fn count(name: &str, text: &str) -> Result<u64, Invalid> {
    let number = text.trim().parse::<u64>().ok().or_else(|| {
        let float = text.trim().parse::<f64>().ok()?;
        (float.is_finite() && float >= 1.0 && float.fract() == 0.0).then_some(float as u64)
    });
    number
        .filter(|n| *n >= 1)
        .ok_or_else(|| Invalid::new(name, format!("is {text:?}; a whole number from 1 is needed")))
}

impl Page {
    /// The part of `all` on this page.
    pub(super) fn cut<T>(self, all: &[T]) -> &[T] {
        let begin = (self.page - 1).saturating_mul(self.per_page);
        let end = begin.saturating_add(self.per_page);
        let within = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(all.len());
        &all[within(begin)..within(end)]
    }
}
