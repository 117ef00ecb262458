"""How the outside spells what is said of a vehicle for its own sake, and nothing here depends on."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from odograph.model.catalog import Traits, Weight

RegulationMode = Literal["regulated", "unregulated", "mixed"]
HarshAcceleration = Literal["passengerCar", "lightTruck", "heavyDuty", "off", "automatic"]
VehicleType = Literal["unset", "passenger", "truck", "bus"]
_Text = Annotated[str, msgspec.Meta(max_length=255)]


class GrossVehicleWeight(msgspec.Struct, kw_only=True):
    """What it weighs at most with its load."""

    unit: Literal["lb", "kg"]
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class ShownTraits(msgspec.Struct, rename="camel", kw_only=True):
    """What answers show of them."""

    vehicle_regulation_mode: str | UnsetType = UNSET
    harsh_acceleration_setting_type: str | UnsetType = UNSET
    vehicle_type: str | UnsetType = UNSET
    gross_vehicle_weight: GrossVehicleWeight | UnsetType = UNSET
    aux_input_type_1: str | UnsetType = UNSET
    aux_input_type_2: str | UnsetType = UNSET
    aux_input_type_3: str | UnsetType = UNSET
    aux_input_type_4: str | UnsetType = UNSET
    aux_input_type_5: str | UnsetType = UNSET
    aux_input_type_6: str | UnsetType = UNSET
    aux_input_type_7: str | UnsetType = UNSET
    aux_input_type_8: str | UnsetType = UNSET
    aux_input_type_9: str | UnsetType = UNSET
    aux_input_type_10: str | UnsetType = UNSET
    aux_input_type_11: str | UnsetType = UNSET
    aux_input_type_12: str | UnsetType = UNSET
    aux_input_type_13: str | UnsetType = UNSET


class GivenTraits(msgspec.Struct, rename="camel", kw_only=True):
    """What a PATCH may give."""

    vehicle_regulation_mode: RegulationMode | UnsetType | None = UNSET
    harsh_acceleration_setting_type: HarshAcceleration | UnsetType | None = UNSET
    vehicle_type: VehicleType | UnsetType | None = UNSET
    gross_vehicle_weight: GrossVehicleWeight | UnsetType | None = UNSET
    aux_input_type_1: _Text | UnsetType | None = UNSET
    aux_input_type_2: _Text | UnsetType | None = UNSET
    aux_input_type_3: _Text | UnsetType | None = UNSET
    aux_input_type_4: _Text | UnsetType | None = UNSET
    aux_input_type_5: _Text | UnsetType | None = UNSET
    aux_input_type_6: _Text | UnsetType | None = UNSET
    aux_input_type_7: _Text | UnsetType | None = UNSET
    aux_input_type_8: _Text | UnsetType | None = UNSET
    aux_input_type_9: _Text | UnsetType | None = UNSET
    aux_input_type_10: _Text | UnsetType | None = UNSET
    aux_input_type_11: _Text | UnsetType | None = UNSET
    aux_input_type_12: _Text | UnsetType | None = UNSET
    aux_input_type_13: _Text | UnsetType | None = UNSET


_AUX_INPUTS: Final = tuple(str(number) for number in range(1, 14))


def given_traits(body: GivenTraits) -> dict[str, Any]:
    """The fields of AssetFields that this body gives."""
    weight = body.gross_vehicle_weight
    return {
        "regulation": body.vehicle_regulation_mode,
        "harsh_acceleration": body.harsh_acceleration_setting_type,
        "vehicle_type": body.vehicle_type,
        "gross_weight": Weight(weight.weight, weight.unit) if isinstance(weight, GrossVehicleWeight) else weight,
        "aux_inputs": {number: getattr(body, f"aux_input_type_{number}") for number in _AUX_INPUTS},
    }


def shown_traits(traits: Traits | None) -> dict[str, Any]:
    """The fields of ShownTraits that say anything."""
    if traits is None:
        return {}
    weight = traits.gross_weight
    shown = {
        "vehicle_regulation_mode": traits.regulation,
        "harsh_acceleration_setting_type": traits.harsh_acceleration,
        "vehicle_type": traits.vehicle_type,
        "gross_vehicle_weight": weight and msgspec.convert(weight, GrossVehicleWeight, from_attributes=True),
        **{f"aux_input_type_{number}": text for number, text in traits.aux_inputs.items()},
    }
    return {field: value for field, value in shown.items() if value}
