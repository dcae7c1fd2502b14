"""What every settings model stands on: it reads the mapping that it is given, and its fields document themselves."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.names import Secret

Level = Literal["debug", "info", "warning", "error"]
NONE: Final = Secret("")
"""A secret that is not set."""


def variable(meaning: str, *, example: str, default: Any = ..., **more: Any) -> Any:
    """A field of a settings model: `unit` and `default_is` (the default in words) are for the docs."""
    extra = {"example": example, "unit": more.pop("unit", ""), "default_is": more.pop("default_is", "")}
    return Field(default, description=meaning, json_schema_extra=extra, **more)


class Environment(BaseSettings):
    """Reads the mapping that it is given and nothing else: neither the process's environment nor a file."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=str.upper,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all of them by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the process's own environment is not read
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor is a file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor a folder of secrets
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what was passed in."""
        return (init_settings,)

    data_dir: Path = variable(
        "Folder for everything that is kept on this machine.", example="/var/lib/trackside", default=Path("data")
    )
    log_level: Annotated[Level, BeforeValidator(lambda value: str(value).lower())] = variable(
        "Least level that is logged: debug, info, warning or error.", example="debug", default="info"
    )
