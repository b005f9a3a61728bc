"""The rules about people: accounts, enrolment, users of a car, licences, shop, privacy, and how a person is forgotten. Pure."""
