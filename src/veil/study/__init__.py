"""The human study: do people recognise whom a reconstruction shows?"""
