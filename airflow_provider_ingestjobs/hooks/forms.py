# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The connection form as Airflow before 3.2 asks a hook for it; newer ones read the provider info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.vendors import Vendor


def connection_form_widgets(vendor: Vendor) -> dict[str, Any]:
    """Return the form fields of the connection's extras.

    :param vendor: whose form it is.
    """
    # Airflow 3 comes without both, and does not need them for this form.
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found,unused-ignore]
    from wtforms import StringField  # type: ignore[import-untyped,unused-ignore]

    return {
        key: StringField(extra.label, widget=BS3TextFieldWidget(), description=extra.description)
        for key, extra in vendor.all_extras.items()
    }


def ui_field_behaviour(vendor: Vendor) -> dict[str, Any]:
    """Return the form's labels.

    :param vendor: whose form it is.
    """
    from airflow_provider_ingestjobs.provider_info import ui_field_behaviour as labels

    return {key.replace("-", "_"): value for key, value in labels(vendor).items()}
