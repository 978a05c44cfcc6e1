//! Which header field holds what.

use super::{
    CSeq, CallIdHeader, HeaderError, HeaderName, Headers, MediaType, NameAddr, RAck, Reason, Replaces, SessionExpires,
    Via,
};
use crate::sip::auth::{Challenge, Credentials};
use crate::sip::method::Method;
use crate::sip::text;

type Result<T> = std::result::Result<T, HeaderError>;

/// Typed access. What must be there is an error when it isn't; what may be absent is an `Option`; what may stand only
/// once is an error when it doesn't.
impl Headers {
    /// Every Via, the most recent first.
    pub fn vias(&self) -> Result<Vec<Via>> {
        self.get_all(HeaderName::Via).map(Via::parse).collect()
    }

    /// The most recent Via.
    pub fn top_via(&self) -> Result<Via> {
        Via::parse(self.get(HeaderName::Via).ok_or(HeaderError::Missing(HeaderName::Via))?)
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr> {
        self.required(HeaderName::From, |value| NameAddr::parse(&HeaderName::From, value).ok())
    }

    /// The tag of From; none where there is no tag, or no From that can be read.
    pub fn from_tag(&self) -> Option<String> {
        self.from().ok()?.tag().map(str::to_owned)
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr> {
        self.required(HeaderName::To, |value| NameAddr::parse(&HeaderName::To, value).ok())
    }

    /// The tag of To; none where there is no tag, or no To that can be read.
    pub fn to_tag(&self) -> Option<String> {
        self.to().ok()?.tag().map(str::to_owned)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<CallIdHeader> {
        self.required(HeaderName::CallId, CallIdHeader::parse)
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq> {
        self.required(HeaderName::CSeq, CSeq::parse)
    }

    /// Every Contact. `*` is not an address; see [`Headers::is_star_contact`].
    pub fn contacts(&self) -> Result<Vec<NameAddr>> {
        self.addresses(HeaderName::Contact)
    }

    /// Whether the Contact is `*`, all bindings (RFC 3261 section 10.2.2).
    pub fn is_star_contact(&self) -> bool {
        self.get(HeaderName::Contact) == Some("*")
    }

    /// Route, topmost first.
    pub fn routes(&self) -> Result<Vec<NameAddr>> {
        self.addresses(HeaderName::Route)
    }

    /// Record-Route, topmost first.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>> {
        self.addresses(HeaderName::RecordRoute)
    }

    /// P-Asserted-Identity (RFC 3325): at most a SIP and a TEL URI.
    pub fn p_asserted_identity(&self) -> Result<Vec<NameAddr>> {
        self.addresses(HeaderName::PAssertedIdentity)
    }

    /// Refer-To (RFC 3515).
    pub fn refer_to(&self) -> Result<NameAddr> {
        self.required(HeaderName::ReferTo, |value| NameAddr::parse(&HeaderName::ReferTo, value).ok())
    }

    /// Referred-By (RFC 3892).
    pub fn referred_by(&self) -> Result<Option<NameAddr>> {
        self.optional(HeaderName::ReferredBy, |value| NameAddr::parse(&HeaderName::ReferredBy, value).ok())
    }

    /// Replaces (RFC 3891).
    pub fn replaces(&self) -> Result<Option<Replaces>> {
        self.optional(HeaderName::Replaces, Replaces::parse)
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Result<Option<u8>> {
        self.optional(HeaderName::MaxForwards, text::number)
    }

    /// Expires, in seconds.
    pub fn expires(&self) -> Result<Option<u32>> {
        self.optional(HeaderName::Expires, text::number)
    }

    /// Min-Expires, in seconds.
    pub fn min_expires(&self) -> Result<Option<u32>> {
        self.optional(HeaderName::MinExpires, text::number)
    }

    /// Retry-After in seconds, without its comment and parameters.
    pub fn retry_after(&self) -> Result<Option<u32>> {
        self.optional(HeaderName::RetryAfter, |value| {
            let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
            value[..end].parse().ok()
        })
    }

    /// Session-Expires (RFC 4028).
    pub fn session_expires(&self) -> Result<Option<SessionExpires>> {
        self.optional(HeaderName::SessionExpires, SessionExpires::parse)
    }

    /// Min-SE (RFC 4028), in seconds.
    pub fn min_se(&self) -> Result<Option<u32>> {
        self.optional(HeaderName::MinSe, |value| text::number(text::trim(value.split(';').next()?)))
    }

    /// RSeq (RFC 3262).
    pub fn rseq(&self) -> Result<Option<u32>> {
        self.optional(HeaderName::RSeq, text::number)
    }

    /// RAck (RFC 3262).
    pub fn rack(&self) -> Result<Option<RAck>> {
        self.optional(HeaderName::RAck, RAck::parse)
    }

    /// Content-Type.
    pub fn content_type(&self) -> Result<Option<MediaType>> {
        self.optional(HeaderName::ContentType, MediaType::parse)
    }

    /// The elements of Accept that can be read; none when the header field is absent.
    pub fn accept(&self) -> Option<Vec<MediaType>> {
        let present = self.contains(HeaderName::Accept);
        present.then(|| self.get_all(HeaderName::Accept).filter_map(MediaType::parse).collect())
    }

    /// Option tags of Require.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.tokens(HeaderName::Require)
    }

    /// Option tags of Supported.
    pub fn supported(&self) -> impl Iterator<Item = &str> {
        self.tokens(HeaderName::Supported)
    }

    /// Whether an option tag stands in Supported or Require.
    pub fn supports(&self, option_tag: &str) -> bool {
        self.supported().chain(self.require()).any(|tag| tag.eq_ignore_ascii_case(option_tag))
    }

    /// Methods of Allow.
    pub fn allow(&self) -> impl Iterator<Item = Method> {
        self.tokens(HeaderName::Allow).filter_map(Method::parse)
    }

    /// The Reasons that can be read (RFC 3326).
    pub fn reasons(&self) -> impl Iterator<Item = Reason> {
        self.get_all(HeaderName::Reason).filter_map(Reason::parse)
    }

    /// The digest challenges of a 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`), in the order offered.
    /// Schemes other than Digest and malformed ones are passed over.
    pub fn challenges(&self, name: HeaderName) -> impl Iterator<Item = Challenge> {
        self.get_all(name).filter_map(Challenge::parse)
    }

    /// The digest credentials of `Authorization` or `Proxy-Authorization`, one per realm.
    pub fn credentials(&self, name: HeaderName) -> impl Iterator<Item = Credentials> {
        self.get_all(name).filter_map(Credentials::parse)
    }

    /// The only value of a header that must be there.
    fn required<T>(&self, name: HeaderName, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        self.optional(name.clone(), parse)?.ok_or(HeaderError::Missing(name))
    }

    /// The only value of a header that may be there.
    fn optional<T>(&self, name: HeaderName, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        let mut values = self.get_all(name.clone());
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => parse(value).map(Some).ok_or(HeaderError::Malformed(name)),
            (Some(_), Some(_)) => Err(HeaderError::Repeated(name)),
        }
    }

    fn addresses(&self, name: HeaderName) -> Result<Vec<NameAddr>> {
        self.get_all(name.clone()).map(|value| NameAddr::parse(&name, value)).collect()
    }

    fn tokens(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.get_all(name).filter(|value| !value.is_empty())
    }
}
