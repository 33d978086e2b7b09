"""What may stand in parameters and in metadata."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Scalar = str | int | float | bool
