"""The benchmark of the notifications: senders that are killed, storms of incidents, and the time to the message."""
