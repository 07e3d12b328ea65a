"""The SSH key that opens a new host."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import EC2_TAGS, Description, Ec2Resource
from provisioner.resources.ec2.twins import pick
from provisioner.resources.refusals import foreign
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import set_tags

_TAKEN = "InvalidKeyPair.Duplicate"


@dataclass(frozen=True, eq=False)
class KeyPair(Ec2Resource):
    """A public key that EC2 hands to a new host; the private half never leaves the user's machine.

    Args:
        public_key: one line as in an authorized_keys file.

    """

    kind: ClassVar[str] = "key pair"
    description: ClassVar[Description] = Description(
        "describe_key_pairs", "KeyPairs", "KeyName", "KeyNames", "key-pair", "InvalidKeyPair.NotFound"
    )

    public_key: str

    def _items(self, aws: Aws, **which: Any) -> list[dict[str, Any]]:
        return aws.page(
            "ec2",
            "describe_key_pairs",
            "KeyPairs",
            RetryOn((self.description.absent,) if "KeyNames" in which else ()),
            IncludePublicKey=True,
            **which,
        )

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with the key itself."""
        filters = [
            {"Name": f"tag:{key}", "Values": [self.tags[key]]}
            for key in ("flowstead:deployment", "flowstead:resource")
        ]
        lives = [self.live(item) for item in self._items(aws, Filters=filters)]
        return pick(self, lives, lambda live: self.uses(aws, live))

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name, or by the id that EC2 tags it by."""
        key = "KeyPairIds" if id_.startswith("key-") else "KeyNames"
        answer = aws.call_or((self.description.absent,), "ec2", "describe_key_pairs", **{key: [id_]})
        return self.live(answer["KeyPairs"][0]) if answer and answer["KeyPairs"] else None

    def read(self, aws: Aws, id_: str) -> Live:
        """Look again, with the key itself."""
        return self.live(self._items(aws, KeyNames=[id_])[0])

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The key (for ever): the host took the old one at its first start, so another would not open it."""
        old, new = _material(live.facts.get("PublicKey", "")), _material(self.public_key)
        note = "bring the private key from the machine that made the deployment, or name its public half in "
        yield Setting(
            "public key",
            _short(old),
            _short(new),
            note=f"{note}server.ssh_public_key",
            is_wanted=old == new,
        )

    def fits(self, live: Live) -> bool:
        """Tell whether the account has this very key."""
        return _material(live.facts.get("PublicKey", "")) == _material(self.public_key)

    def create(self, aws: Aws, state: State) -> Live:
        """Import the public key."""
        answer = aws.call_or(
            (_TAKEN,),
            "ec2",
            "import_key_pair",
            KeyName=self.label,
            PublicKeyMaterial=self.public_key.encode(),
            TagSpecifications=self.tag_specifications(),
        )
        if answer is None:
            there = self.read(aws, self.label)
            if not self.owns(there.tags):
                raise foreign(self, f"the key pair {self.label}", there.tags)
            return there
        return self.read(aws, self.label)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None; EC2 tags a key pair by its id, not its name."""
        set_tags(aws, EC2_TAGS, tags, Resources=[live.facts["KeyPairId"]])

    def parts(self, live: Live) -> Collection[str]:
        """Give the id that EC2 tags it by."""
        return (live.facts["KeyPairId"],)

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete it; hosts keep the key they were given."""
        aws.call("ec2", "delete_key_pair", KeyName=live.id)


def _material(public_key: str) -> str:
    """Leave the comment out: type and key only."""
    return " ".join(public_key.split()[:2])


def _short(material: str) -> str:
    return f"{material[:12]}...{material[-12:]}" if material else "none"
