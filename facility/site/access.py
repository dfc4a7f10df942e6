"""Access: who we are to the broker, whom we trust, and who may do what there. Files are named from the site file's folder, or absolutely."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facility.site.part import Part

FILES = ("ca_file", "cert_file", "key_file", "password_file", "operator_keys_file")
"""The keys that name files."""
ROLES = r"^(operator|dashboard|scheduler|grid|desk|building|(agent|gateway|tenant)/[a-z0-9][a-z0-9-]*)$"

File = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
User = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._-]*$", max_length=64)]
Role = Annotated[str, Field(pattern=ROLES)]


class Access(Part):
    """What stands between us and the broker."""

    ca_file: File | None = Field(default=None, description="PEM file of the CA that signed the broker's certificate; absent: the system's CAs")
    cert_file: File | None = Field(default=None, description="PEM file of our own certificate, where the broker asks for one")
    key_file: File | None = Field(default=None, description="PEM file of its key, for nobody but us to read; absent: it stands in cert_file")
    password_file: File | None = Field(
        default=None, description="file whose first line is the password of the user in `broker`; for nobody but us to read"
    )
    password_env: Variable = Field(
        default="FACILITY_PASSWORD", description="environment variable with the password of whatever user an address names without one"
    )
    users: dict[User, Role] = Field(
        default={},
        description="users of the broker beside the service's: operator, dashboard, scheduler, grid, desk, building, agent/POOL, gateway/HALL "
        "or tenant/TENANT; a role that none has gets a user of its own name",
    )
    signatures: Literal["off", "required"] = Field(
        default="off", description="required: commands of people act only when they are signed with a key of operator_keys_file"
    )
    operator_keys_file: File | None = Field(
        default=None, description="file with a line for each operator: name, blank, key in base64; for nobody but us to read"
    )
