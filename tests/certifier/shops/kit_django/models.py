"""Tables of the Django shop."""

from django.db import models

from naru.kit.orders.django import PaidOrder


class Order(PaidOrder):
    merchant_uid = models.CharField(max_length=40, primary_key=True)
    amount = models.PositiveBigIntegerField()


class Parcel(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
