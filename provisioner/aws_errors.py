"""AWS's errors as sentences: the operation, AWS's own code and message, and the next step."""

from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    SSLError,
    WaiterError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from provisioner.errors import AwsError, NotOfferedError

_AGAIN = "Run the same command again: it goes on from here."
_LOGIN = "Log in again (`aws sso login`, or new keys), check with `aws sts get-caller-identity`."

CREDENTIAL_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "NoCredentialsError",
        "OptInRequired",
        "PartialCredentialsError",
        "ProfileNotFound",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes that every call would meet in the same way; EC2's and the common ones:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""

DISABLED_REGION_CODES = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "OptInRequired", "UnrecognizedClientException"}
)
"""What good credentials meet in a region that their account has not enabled, and bad ones in any:
https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"""

THROTTLING_CODES = frozenset(
    {"RequestLimitExceeded", "RequestThrottled", "SlowDown", "Throttling", "ThrottlingException"}
)
"""EC2's, common ones and S3's: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_QUOTA_CODES = frozenset({"LimitExceededException", "TooManyBuckets"})

_SETTING_CODES = frozenset(
    {
        "InvalidBlockDeviceMapping",
        "InvalidParameter",
        "InvalidParameterCombination",
        "InvalidParameterException",
        "InvalidParameterValue",
        "Unsupported",
        "ValidationError",
        "ValidationException",
    }
)
"""AWS does not do what it is asked for, whenever it is asked."""

_PERMISSION_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
)

_NEXT_STEPS = {
    "NoCredentialsError": "Run `aws configure` or `aws sso login`, or set AWS_PROFILE; "
    "check with `aws sts get-caller-identity`.",
    "PartialCredentialsError": "Set both the access key and the secret key.",
    "ProfileNotFound": "Set AWS_PROFILE to one that `aws configure list-profiles` shows, or unset it.",
    "OptInRequired": "Enable the region in the account's settings, or choose another one in deployment.yml.",
    "SignatureDoesNotMatch": "Check the secret key, and that this machine's clock is right.",
    "RequestTimeTooSkewed": "Check that this machine's clock is right.",
    "RequestExpired": "Check that this machine's clock is right, or log in again.",
    "InsufficientInstanceCapacity": "AWS has no such host free in this zone at present: wait a little, "
    f"or choose another server.instance_type. {_AGAIN}",
    "InsufficientDBInstanceCapacity": "AWS has no such database host free at present: wait a little, "
    f"or choose another database.instance_class. {_AGAIN}",
    **dict.fromkeys(
        ("InsufficientDBClusterCapacityFault", "InsufficientStorageClusterCapacity"),
        f"AWS has no room for such a cluster at present: wait a little. {_AGAIN}",
    ),
    # https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/free-tier-plans.html
    "FreeTierRestrictionError": "The account is on AWS's free plan, which does not allow that. "
    "If it is about backups, set database.backup_days: 1 in deployment.yml; if about a size, the default; "
    f"or upgrade the account's plan in the Billing console. {_AGAIN}",
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    "PendingVerification": "AWS still verifies the account, which takes hours, and sends an e-mail then: "
    f"wait for it, or ask AWS Support. {_AGAIN}",
    "Blocked": "Ask AWS Support why the account is blocked.",
    # https://docs.aws.amazon.com/ebs/latest/userguide/modify-volume-requirements.html
    "IncorrectModificationState": "AWS is still working on the disk's last change, which takes minutes to "
    "hours: run the same command again after that.",
    "VolumeModificationRateExceeded": "AWS changes a disk a few times a day at most: run the same command "
    "again when that time is over, or set server.volume_gib back.",
    "BucketAlreadyExists": "Bucket names are AWS-wide: choose another artifacts.bucket in deployment.yml.",
    "DependencyViolation": "Something that Flowstead did not make uses it: remove that first. " + _AGAIN,
    **dict.fromkeys(
        THROTTLING_CODES, f"The account makes more calls than AWS answers: wait a minute. {_AGAIN}"
    ),
    **dict.fromkeys(
        _SETTING_CODES, f"If it is about one of your settings, change that in deployment.yml. {_AGAIN}"
    ),
}

# RDS's answer to a caller who is not allowed to make its role: https://github.com/cube-js/cube/pull/11114
_ROLE_OF_RDS = "service linked role"
_MAKE_ROLE_OF_RDS = (
    "Ask for the permission iam:CreateServiceLinkedRole for rds.amazonaws.com (it is in "
    "docs/operator_policy.json), or for somebody to run once: "
    f"aws iam create-service-linked-role --aws-service-name rds.amazonaws.com. {_AGAIN}"
)


def explain(error: Exception, *, operation: str, region: str) -> AwsError:
    """Put an error of botocore into words.

    Args:
        error: what botocore raised.
        operation: boto3's name of the operation ("create_vpc").
        region: the AWS region.

    Returns:
        the error to raise from it.

    """
    name = "".join(part.capitalize() for part in operation.split("_"))
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        text = str(error.response.get("Error", {}).get("Message", "")).strip() or "no message"
        name = error.operation_name or name
    else:
        code, text = type(error).__name__, str(error).strip()
    return AwsError(
        f"{name}: AWS answered {code}: {text}"
        if isinstance(error, ClientError)
        else f"{name}: {code}: {text}",
        code=code,
        operation=name,
        next_step=_next_step(error, code, text, name, region),
        is_connection=_is_connection(error),
        is_lost=_is_connection(error) or _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _status(error: Exception) -> int:
    answer = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    return int(answer.get("HTTPStatusCode", 0))


def not_enabled(region: str) -> NotOfferedError:
    """Say that the account has not enabled a region.

    Args:
        region: the AWS region.

    """
    text = (
        f"this account has not enabled {region}: enable it in the AWS console (Account, AWS Regions) or with "
        f"`aws account enable-region --region-name {region}`, which takes minutes to hours, "
        "or choose another region"
    )
    return NotOfferedError([("region", text)])


def _next_step(error: Exception, code: str, text: str, operation: str, region: str) -> str:
    if _ROLE_OF_RDS in text:
        return _MAKE_ROLE_OF_RDS
    if code in _NEXT_STEPS:
        return _NEXT_STEPS[code]
    if code in _PERMISSION_CODES:
        step = (
            f"Ask for the permission for {operation} (docs/operator_policy.json has all that are needed), "
            "or use another profile (AWS_PROFILE)."
        )
    elif code in CREDENTIAL_CODES or any(word in code for word in ("Token", "SSO", "Credential")):
        step = _LOGIN
    elif code in _QUOTA_CODES or "LimitExceeded" in code or "QuotaExceeded" in code:
        more = f"ask for more at Service Quotas in the AWS console (region {region})"
        step = f"Remove what is not used, or {more}. {_AGAIN}"
    elif isinstance(error, SSLError):
        step = "If a proxy inspects TLS here, set AWS_CA_BUNDLE to its certificate."
    elif _is_connection(error):
        step = (
            f"Check the region ({region}) in deployment.yml, the network, and a proxy (HTTPS_PROXY). {_AGAIN}"
        )
    elif isinstance(error, BotoCoreError):
        step = "Check the AWS configuration of this machine (`aws configure list`)."
    else:
        step = _AGAIN
    return step


def _is_connection(error: Exception) -> bool:
    return isinstance(error, BotoConnectionError | HTTPClientError | SSLError)


def explain_waiter(error: WaiterError, *, waiter: str, deadline_s: float) -> AwsError:
    """Put a wait that failed into words.

    Args:
        error: what botocore raised.
        waiter: the waiter's name ("instance_running").
        deadline_s: seconds that it was given.

    """
    answer = error.last_response or {}
    code = str(answer.get("Error", {}).get("Code", "")) or "Waiter"
    what = waiter.replace("_", " ")
    return AwsError(
        f"Waiting for {what} failed (at most {deadline_s:.0f} s): {error.kwargs.get('reason', error)}",
        code=code,
        operation=waiter,
        next_step="Look at its events in the AWS console. " + _AGAIN,
    )
