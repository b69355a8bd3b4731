"""One exception tree. Every error carries a stable code, an HTTP status and an exit code.

FrontdeskError                      1   500
├── UsageError                      2   400   unknown parameter, recipe, option
├── DataError                       3   422   the table, not the program, is wrong
│   ├── UnreadableFile
│   ├── BadColumns                            mapping and table do not fit
│   ├── EmptyTable
│   ├── BadTaxonomy                           a label file that contradicts itself
│   └── DataCheckFailed
├── GateRefused                     4   409   the champion stays
├── InvalidRequest                  1   400   names the instance and the field
│   ├── Unauthorised                    401   no credentials, or bad ones
│   ├── Forbidden                       403   a door that this server keeps shut
│   ├── NotFound                        404
│   ├── UnknownModel                    404
│   ├── MethodNotAllowed                405
│   ├── Conflict                        409   one idempotency key for two requests
│   ├── InFlight                        409   the first request of this idempotency key is not answered yet
│   ├── BadSignature                    401   a webhook that none of our secrets signed, or too long ago
│   ├── TooLarge                        413
│   └── UnsupportedMediaType            415
├── NotReady                        1   503   a model is still loading
│   └── PredictorUnavailable                  the other half of a service does not answer
├── Unavailable                     1   503   a model server does not answer in time
├── Overloaded                      1   429
│   └── RateLimited                           one client asks too much
├── BundleError                     1   500   names the bad file
│   └── UntrustedBundle                       no key that is trusted here signed it
├── StorageError                    1   503   names the address and what answered
├── TransferError                   1   500   a tensor file does not have the digest of its manifest
├── TrainingError                   1   500   the loss is not finite, no labelled row is left, ...
├── PipelineServerError             1   502   Kubeflow Pipelines refused or did not answer
├── ClusterError                    1   502   a Kubernetes API server refused or did not answer
├── WriteBackFailed                 1   502   a desk did not take an answer
└── MissingTool                     1   500   Java, an object-store binary, ...
"""

from __future__ import annotations


class FrontdeskError(Exception):
    """What happened, where, and what to do about it."""

    code = "internal"
    status = 500
    exit_code = 1

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.remedy}" if self.remedy else text


class UsageError(FrontdeskError):
    """The caller asked for something that does not exist."""

    code = "usage"
    status = 400
    exit_code = 2


class DataError(FrontdeskError):
    """The data cannot be used as it is."""

    code = "bad_data"
    status = 422
    exit_code = 3


class UnreadableFile(DataError):
    """A file is missing, of an unknown type, or not what its name says."""

    code = "unreadable_file"


class BadColumns(DataError):
    """The column mapping does not fit the table."""

    code = "bad_columns"


class EmptyTable(DataError):
    """No row is left to work with."""

    code = "empty_table"


class BadTaxonomy(DataError):
    """A label file has a wrong entry, or a change that cannot be: a merge into a retired label, a name used twice."""

    code = "bad_taxonomy"


class DataCheckFailed(DataError):
    """A check of the snapshot failed: label collapse, empty texts, time stamps in the future."""

    code = "data_check_failed"


class GateRefused(FrontdeskError):
    """The candidate did not pass the gate; the champion stays."""

    code = "gate_refused"
    status = 409
    exit_code = 4


class InvalidRequest(FrontdeskError):
    """A prediction request names an unknown field or holds a value of the wrong type."""

    code = "invalid_request"
    status = 400


class UnknownModel(InvalidRequest):
    """No model of this name is served."""

    code = "unknown_model"
    status = 404


class Unauthorised(InvalidRequest):
    """The request has no credentials, or bad ones."""

    code = "unauthorised"
    status = 401


class Forbidden(InvalidRequest):
    """The server keeps this door shut."""

    code = "forbidden"
    status = 403


class NotFound(InvalidRequest):
    """There is nothing at this address."""

    code = "not_found"
    status = 404


class MethodNotAllowed(InvalidRequest):
    """The address does not take this method."""

    code = "method_not_allowed"
    status = 405


class Conflict(InvalidRequest):
    """The idempotency key belongs to another request."""

    code = "idempotency_conflict"
    status = 409


class InFlight(InvalidRequest):
    """The first request with this idempotency key is not answered yet."""

    code = "in_flight"
    status = 409


class BadSignature(InvalidRequest):
    """A webhook is not signed with one of our secrets, or was signed too long ago."""

    code = "bad_signature"
    status = 401


class TooLarge(InvalidRequest):
    """The body is larger than the server reads."""

    code = "too_large"
    status = 413


class UnsupportedMediaType(InvalidRequest):
    """The body is not of a type that the server reads."""

    code = "unsupported_media_type"
    status = 415


class NotReady(FrontdeskError):
    """A model is still loading."""

    code = "not_ready"
    status = 503


class PredictorUnavailable(NotReady):
    """A transformer's predictor does not answer, and there is no answer without it."""

    code = "predictor_unavailable"


class Unavailable(FrontdeskError):
    """A model server does not answer, or not in time."""

    code = "unavailable"
    status = 503


class Overloaded(FrontdeskError):
    """The queue is full; come back later."""

    code = "overloaded"
    status = 429


class RateLimited(Overloaded):
    """One client asks more often than it may.

    Attributes:
        seconds: until it may ask again.
    """

    code = "rate_limited"

    def __init__(self, message: str, *, seconds: float = 1.0, where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.seconds = seconds


class BundleError(FrontdeskError):
    """A bundle is incomplete, altered, or of a format that this release does not read."""

    code = "bad_bundle"


class UntrustedBundle(BundleError):
    """None of the keys that this process trusts signed the bundle."""

    code = "untrusted_bundle"


class StorageError(FrontdeskError):
    """The store did not answer or refused."""

    code = "storage"
    status = 503


class TransferError(FrontdeskError):
    """A transferred file does not have the digest that its manifest states."""

    code = "transfer"


class TrainingError(FrontdeskError):
    """Training cannot go on."""

    code = "training"


class PipelineServerError(FrontdeskError):
    """The pipeline server refused, or did not answer."""

    code = "pipeline_server"
    status = 502


class ClusterError(FrontdeskError):
    """A Kubernetes API server refused, or did not answer."""

    code = "cluster"
    status = 502


class WriteBackFailed(FrontdeskError):
    """A desk did not take what we wanted to write."""

    code = "write_back"
    status = 502


class MissingTool(FrontdeskError):
    """A program outside the Python packages is needed and was not found."""

    code = "missing_tool"
