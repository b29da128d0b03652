"""Its tables."""

from django.db import models

from naru.kit.orders.django import PaidOrder


class Order(PaidOrder):
    """What was ordered, and what must be paid."""

    merchant_uid = models.CharField(max_length=40, primary_key=True)
    amount = models.PositiveBigIntegerField()


class Parcel(models.Model):
    """What leaves the house."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE)
