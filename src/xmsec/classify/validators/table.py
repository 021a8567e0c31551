"""The validators by the names that classifier files use; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from xmsec.classify.validators.bank_card import bank_card
from xmsec.classify.validators.certificate_id import certificate_id
from xmsec.classify.validators.device import imei, imsi, mac
from xmsec.classify.validators.email import email
from xmsec.classify.validators.ip import ip
from xmsec.classify.validators.mobile import mobile
from xmsec.classify.validators.org_code import org_code
from xmsec.classify.validators.plate import plate
from xmsec.classify.validators.resident_id import foreign_permit, residence_permit, resident_id
from xmsec.classify.validators.secret import jwt
from xmsec.classify.validators.uscc import uscc
from xmsec.classify.validators.vin import vin

Validator = Callable[[str], bool | None]

VALIDATORS: dict[str, Validator] = {
    "bank_card": bank_card,
    "certificate_id": certificate_id,
    "email": email,
    "foreign_permit": foreign_permit,
    "imei": imei,
    "imsi": imsi,
    "ip": ip,
    "jwt": jwt,
    "mac": mac,
    "mobile": mobile,
    "org_code": org_code,
    "plate": plate,
    "residence_permit": residence_permit,
    "resident_id": resident_id,
    "uscc": uscc,
    "vin": vin,
}
