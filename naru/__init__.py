"""Naru: the open, self-hosted payment gateway that speaks i'mport (PortOne V1)."""
