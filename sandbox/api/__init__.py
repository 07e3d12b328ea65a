"""The AWS API: who may call, what a call asks for, what no schema allows, and the way to moto and back."""
