//! Why a patch is refused, in the words of a Status.

/// Why a patch could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// What was sent is no such patch.
    #[error("{0}")]
    BadRequest(String),
    /// The patch is too large to try.
    #[error("{0}")]
    TooLarge(String),
    /// The patch does not fit the object. Clients are told only that; what exactly is in here for the log.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable(String),
    /// The patch does not fit the kind. Such a Status has no reason and is a server's fault by its code;
    /// clients know it so.
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// The HTTP status.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::TooLarge(_) => 413,
            Self::Unprocessable(_) => 422,
            Self::Internal(_) => 500,
        }
    }

    /// The reason in the Status; empty where the Status has none.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::Unprocessable(_) => "Invalid",
            Self::Internal(_) => "",
        }
    }

    /// What exactly is wrong, also where clients are not told.
    pub fn detail(&self) -> &str {
        let (Self::BadRequest(text)
        | Self::TooLarge(text)
        | Self::Unprocessable(text)
        | Self::Internal(text)) = self;
        text
    }
}
