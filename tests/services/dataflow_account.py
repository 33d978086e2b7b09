"""A service account nobody has: a key file whose tokens come from a server of ours."""

import json
from pathlib import Path

_EMAIL = "klio-tests@{project}.iam.gserviceaccount.com"


def write_key_file(path: Path, project: str, token_url: str) -> None:
    """Write what `GOOGLE_APPLICATION_CREDENTIALS` may name.

    Beam's GcsIO looks for credentials in every process, also with `--no_auth`, and spends 22 s on
    it where there are none.

    Args:
        path: of the new file.
        project: that the account belongs to.
        token_url: where tokens are given for assertions signed with the key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    said = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "0",
        "private_key": text.decode(),
        "client_email": _EMAIL.format(project=project),
        "client_id": "0",
        "token_uri": token_url,
    }
    path.write_text(json.dumps(said))
    path.chmod(0o600)
